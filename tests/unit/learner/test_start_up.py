"""What starting costs: libraries that nobody calls are not imported, and stay whole for others."""

from __future__ import annotations

import subprocess
import sys

NOT_CALLED = ("sklearn", "scipy", "pandas", "sympy", "torch._dynamo", "sentence_transformers")


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
