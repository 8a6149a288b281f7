"""The learner on the simulated shop: better than popularity from the first hundreds of events on.

`python -m tests.bench shop` measures the same at full length.
"""

from __future__ import annotations

import pytest
import torch

from learner.config import EncoderConfig, LearnerConfig
from learner.encoder import TextEncoder
from tests.bench.shop import measure


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_eight_hundred_events_of_a_shop_teach_more_than_popularity() -> None:
    config = LearnerConfig(device="cpu")
    encoder = TextEncoder(EncoderConfig(device="cpu"))
    found = measure(1, 800, encoder, config, rows=("popularity", "prior", "online"))
    ndcg10 = {row.model: row.ndcg10 for row in found.rows}
    assert ndcg10["online"] > 1.5 * ndcg10["popularity"], ndcg10
    assert ndcg10["online"] > 0.95 * ndcg10["prior"], ndcg10
