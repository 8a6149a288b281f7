"""The composition root: a role imports what it needs, and nothing of another."""

from __future__ import annotations

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


def test_the_store_lies_in_the_data_folder_unless_chosen(tmp_path: Path) -> None:
    here = Settings.load(environ={}, assignments=[f"run.data_dir={tmp_path}"])
    assert store_config(here) == StoreConfig(directory=str(tmp_path / "features"))
    chosen = here.with_values({"store.directory": "/elsewhere"}, "the test")
    assert store_config(chosen).directory == "/elsewhere"
