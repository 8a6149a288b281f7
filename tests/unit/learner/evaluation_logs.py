"""Logs whose answers a reader can see, and a learner small enough for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from features.catalog import Catalog
from learner.config import LearnerConfig, ModelConfig, TrainConfig
from stream.events import Event, ItemVector

ITEMS = "abcdefgh"
DAY_MS = 86_400_000
START_MS = 1_600_000_000_000 // DAY_MS * DAY_MS

CONFIG = LearnerConfig(
    device="cpu",
    model=ModelConfig(steps=8, transformer_steps=4, layers=1, heads=1, width=8, lora_rank=2),
    train=TrainConfig(negatives=8, listed=8),
)

WHOLE = msgspec.structs.replace(CONFIG.train, batch=1_000)

Rows = Sequence[tuple[str, str, int]]


def log_of(rows: Rows) -> list[Event]:
    """Rows of user, item and milliseconds since the start."""
    return [
        Event(
            event_id=str(n),
            user_id=user,
            item_id=item,
            kind="click",
            ts_ms=START_MS + ms,
            source="",
            received_ms=START_MS + ms,
        )
        for n, (user, item, ms) in enumerate(rows)
    ]


def catalogue(item_ids: str = "") -> Catalog:
    catalog = Catalog(width=4)
    vectors = np.random.default_rng(3).normal(size=(len(item_ids), 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    catalog.upsert(
        [
            ItemVector(
                item_id=item_id,
                vector=vector.astype("<f2").tobytes(),
                encoder="test",
                text_hash="",
                first_seen_ms=0,
            )
            for item_id, vector in zip(item_ids, vectors, strict=True)
        ]
    )
    return catalog


def timed(steps: list[tuple[str, str, int]]) -> Rows:
    """Rows of user, item and minutes since the row before."""
    at = np.cumsum([0, *(minutes for _, _, minutes in steps)])[1:] * 60_000
    return [(user, item, int(ms)) for (user, item, _), ms in zip(steps, at, strict=True)]


def chain(steps: int, gap_ms: int = 60_000) -> list[tuple[str, str, int]]:
    """Ten users who go round a → b → c → d, each beginning somewhere else."""
    return [(f"u{n % 10}", "abcd"[(n // 10 + n % 10) % 4], n * gap_ms) for n in range(10 * steps)]
