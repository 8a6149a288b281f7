"""A toy shop for the learner's tests: items a letter and a number, habits that a reader can see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.catalog import Catalog
from learner.config import CandidateConfig, LearnerConfig, ModelConfig, TrainConfig
from stream.events import Example, ItemVector, Kind, Step

WIDTH = 8
START_MS = 1_700_000_000_000
SECOND_MS = 1_000

CONFIG = LearnerConfig(
    device="cpu",
    model=ModelConfig(
        width=16,
        layers=1,
        heads=2,
        lora_rank=2,
        steps=8,
        transformer_steps=4,
        candidates=CandidateConfig(all_items_below=4, popular=6, semantic=6, behaviour=3),
    ),
    train=TrainConfig(batch=16, listed=8, negatives=8, replays=1, replay_size=64),
)


def item(item_id: str, *, available: bool = True, text: bool = True) -> ItemVector:
    """An item; those with the same letter have like texts."""
    letter = np.random.default_rng(ord(item_id[0])).normal(size=WIDTH)
    own = np.random.default_rng(sum(map(ord, item_id)) * 31).normal(size=WIDTH) * 0.3
    vector = (letter + own) / np.linalg.norm(letter + own)
    return ItemVector(
        item_id=item_id,
        vector=vector.astype("<f2").tobytes() if text else b"",
        encoder="toy",
        text_hash="",
        first_seen_ms=0,
        available=available,
    )


def catalogue(item_ids: Sequence[str], *, text: bool = True) -> Catalog:
    """The items in the order given."""
    catalog = Catalog(WIDTH)
    catalog.upsert([item(item_id, text=text) for item_id in item_ids])
    return catalog


def shelf(letter: str, count: int) -> list[str]:
    """Item ids of one letter.

    >>> shelf("a", 2)
    ['a0', 'a1']
    """
    return [f"{letter}{n}" for n in range(count)]


def example(
    n: int, item_id: str, past: Sequence[str] = (), *, kind: Kind = "click", partition: int = 0
) -> Example:
    """The n-th event of the shop, a second after the one before."""
    now_ms = START_MS + n * SECOND_MS
    history = tuple(
        Step(item_id, "click", now_ms - (len(past) - t) * 60 * SECOND_MS)
        for t, item_id in enumerate(past)
    )
    return Example(
        event_id=f"e{n}",
        user_id="u",
        item_id=item_id,
        kind=kind,
        ts_ms=now_ms,
        received_ms=now_ms,
        partition=partition,
        offset=n,
        history=history,
        user_events=len(history),
    )


def habits(count: int, items: int, seed: int = 0) -> list[Example]:
    """Events in which `a<n>` is always followed by `b<n>`, and nothing else means anything."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, items, count).tolist()
    return [example(n, f"b{pick}", [f"a{pick}"]) for n, pick in enumerate(picks)]
