"""The learner's core runs where nothing but torch and its kin is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

REFUSED = ("kafka", "aiokafka", "faust", "feast", "river", "prometheus_client")

PROGRAM = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {REFUSED!r}:
            raise ModuleNotFoundError(f"refused: {{name}}")
        return None

sys.meta_path.insert(0, Refuse())

from learner.drift import Response
from learner.online import OnlineLearner
from learner.prequential import evaluate
from learner.scorer import Scorer
from learner.state import save_learner
from tests.unit.learner.toy import CONFIG, catalogue, habits, shelf

learner = OnlineLearner(catalogue(shelf("a", 4) + shelf("b", 4)), CONFIG)
report = learner.learn_many(habits(32, 4))
scorer = Scorer.of_version(save_learner(learner), learner.catalog, device="cpu")
ranked = scorer.rank_many([habits(1, 4)[0].history], now_ms=0, k=2)
print(report.learnt, ranked.rows_BK.shape)
"""


def test_learning_and_ranking_need_no_broker_no_store_and_no_river() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "32 (1, 2)\n"), done.stderr
