"""The composition root: a role imports what it needs, and nothing of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.store_config import StoreConfig
from infra.settings import Settings
from infra.wiring import store_config

REFUSED = {
    "learner": ["feast", "serving"],
    "ingest-profile": ["torch", "transformers", "peft", "serving"],
    "serving": ["faust"],
}

PROGRAM = """
import importlib.abc, sys
from infra.settings import Settings
import infra.wiring

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[3:]:
            raise AssertionError(f"the role imports {name}")

sys.meta_path.insert(0, Refuse())
class Enough(Exception): pass

def stop(*_, **__):
    raise Enough

if sys.argv[1] == "serving":
    import serving.agent
    serving.agent.ServingLoop.run = stop
else:
    import stream.app
    stream.app.run_app = stop
ports = [f"metrics.{name}=-1" for name in ("learner", "serving", "ingest_profile")]
settings = Settings.load(environ={}, assignments=[f"run.data_dir={sys.argv[2]}", *ports])
try:
    infra.wiring.run_role(sys.argv[1], settings)
except Enough:
    print("built")
"""


@pytest.mark.parametrize("role", REFUSED)
def test_a_role_is_built_without_the_libraries_of_others(role: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, role, str(tmp_path), *REFUSED[role]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "built", done.stderr[-2000:]


WAITS = """
import os, sys
import infra.wiring
from infra.settings import Settings

def said(settings):
    print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
    return 0

infra.wiring._ROLES["learner"] = said
words = [f"run.data_dir={sys.argv[1]}", "metrics.learner=-1"]
infra.wiring.run_role("learner", Settings.load(environ={}, assignments=words))
"""


@pytest.mark.parametrize(("chosen", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "x"}, "x")])
def test_threads_wait_asleep_unless_told_otherwise(
    chosen: dict[str, str], policy: str, tmp_path: Path
) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", WAITS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**environ, **chosen},
    )
    # Before torch is there: it reads this once.
    assert done.stdout.split() == [policy, "False"], done.stderr[-2000:]


def test_the_store_lies_in_the_data_folder_unless_chosen(tmp_path: Path) -> None:
    here = Settings.load(environ={}, assignments=[f"run.data_dir={tmp_path}"])
    assert store_config(here) == StoreConfig(directory=str(tmp_path / "features"))
    chosen = here.with_values({"store.directory": "/elsewhere"}, "the test")
    assert store_config(chosen).directory == "/elsewhere"
