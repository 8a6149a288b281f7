"""What starting costs: libraries that nobody calls are not imported, and stay whole for others."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_CALLED = ("sklearn", "scipy", "pandas", "sympy", "torch._dynamo", "sentence_transformers")


ROLES = {
    "ingest-profile": ("torch", "sklearn", "scipy", "sqlalchemy", "fastapi", "requests"),
    "learner": (
        "feast",
        "pandas",
        "sklearn",
        "scipy.stats",
        "sqlalchemy",
        "sympy",
        "torch._dynamo",
    ),
    "serving": ("faust", "sklearn", "scipy", "sqlalchemy", "fastapi", "sympy", "torch._dynamo"),
}
"""What a role must not import: each of these takes a tenth of a second or more."""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ranking_imports_no_compiler_and_no_science() -> None:
    program = f"""
import sys, torch
import learner.scorer
from learner.config import LearnerConfig
from learner.online import OnlineLearner
from features.catalog import Catalog
OnlineLearner(Catalog(8), LearnerConfig(device="cpu"))
print([name for name in {NOT_CALLED} if name in sys.modules])

# Whoever wants the compiler gets the real one, not what stood in its place.
assert torch.distributed.is_available()
assert "_dynamo" not in vars(torch)
"""
    assert run(program) == "[]"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_imports_none_of_what_takes_time(role: str) -> None:
    program = f"""
import sys
from infra.bench.imports import watched
watched({role!r})
print([name for name in {ROLES[role]} if name in sys.modules])
"""
    assert run(program) == "[]"


def test_what_stood_aside_comes_whole_when_it_is_wanted() -> None:
    program = """
import sys
import features.store_feast, features.drift_river
from features.river_import import drift
import feast.feature_store
assert "fastapi" not in sys.modules and "feast.feature_server" not in sys.modules
assert feast.feature_store.feature_server.get_app.__module__ == "feast.feature_server"
import fastapi, river.drift.datasets
from feast.infra.registry.sql import SqlRegistry
assert fastapi.FastAPI and river.drift.datasets.AirlinePassengers and SqlRegistry.__module__
kswin = drift.KSWIN(window_size=20, stat_size=5, seed=1)
for n in range(60):
    kswin.update(float(n > 40) + n % 7 / 10)
assert "scipy.stats" in sys.modules
print("whole")
"""
    assert run(program) == "whole"


def test_a_module_s_distribution_is_what_all_lists_of_files_say() -> None:
    program = """
import importlib.metadata
from learner.huggingface import _ByName
real, short = importlib.metadata.packages_distributions(), _ByName()
assert short.get("torch") == real["torch"] and not short
assert short.get("yaml") == real["yaml"]
assert short.get("no_such_module", []) == []
print("alike")
"""
    assert run(program) == "alike"
