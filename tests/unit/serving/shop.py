"""A shop whose right answers can be seen: six teas, six tools, and a ranker with two rules.

`PlainRanker` scores an item 1 per step of the history in the same category, and less by a
hundredth per row: the shelf's order breaks ties. A step speaks for the items of its category.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.store import UserFeatures
from serving.ask import Ask
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import Bools, Floats, Rows
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import AdapterVersion, Example, ItemVector, Kind, Step

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
TEAS = ("assam", "breakfast", "chai", "darjeeling", "earl-grey", "fennel")
TOOLS = ("axe", "bit", "chisel", "drill", "edger", "file")

PLAIN = ServingConfig(mmr_lambda=1.0, near_duplicate=2.0)
"""The ranker's own order, untouched."""


def item(item_id: str, category: str, angle: float, **more: Any) -> ItemVector:
    """An item whose text points at `angle` in the plane: near angles are alike."""
    vector = np.array([np.cos(angle), np.sin(angle)], "<f2").tobytes()
    fields: dict[str, Any] = {
        "title": item_id.replace("-", " ").title(),
        "category": ("Shop", category),
        "brand": f"{category} Works",
        "first_seen_ms": NOW_MS - 30 * 24 * HOUR_MS,
        **more,
    }
    return ItemVector(item_id=item_id, vector=vector, encoder="plane", text_hash=item_id, **fields)


def shelf() -> list[ItemVector]:
    """Teas at angles near 0, tools near a right angle, 10 more for each further one."""
    teas = [item(name, "Tea", 0.03 * i, price=10.0 * (i + 1)) for i, name in enumerate(TEAS)]
    tools = [
        item(name, "Tools", 1.5 + 0.03 * i, price=10.0 * (i + 1)) for i, name in enumerate(TOOLS)
    ]
    return teas + tools


def stocked() -> ItemIndex:
    """An index of the whole shelf."""
    index = ItemIndex(Catalog(width=2))
    index.upsert(shelf())
    return index


class PlainRanked(NamedTuple):
    rows_BK: Rows
    scores_BK: Floats


class PlainRanker:
    """The ranker of this file's head; remembers the `now_ms` and `seen` it was asked with."""

    def __init__(self, catalog: Catalog, version: int | None = 1, newest_ms: int = 0) -> None:
        self.version = version
        self.newest_ms = newest_ms
        self.asked_ms: list[int] = []
        self.asked_seen: list[list[bytes]] = []
        self._catalog = catalog

    def rank_many(
        self,
        histories: Sequence[Sequence[Step]],
        now_ms: int,
        k: int,
        allowed: Bools | None,
        allowed_per_user: Sequence[Bools | None],
        *,
        seen: Sequence[bytes] = (),
    ) -> PlainRanked:
        self.asked_ms.append(now_ms)
        self.asked_seen.append(list(seen))
        rows_BK = np.full((len(histories), k), -1, np.int32)
        scores_BK = np.zeros((len(histories), k), np.float32)
        for user, history in enumerate(histories):
            scored = []
            for row in range(len(self._catalog)):
                mask = allowed_per_user[user]
                if (allowed is None or allowed[row]) and (mask is None or mask[row]):
                    likes = sum(self._category(step.item_id) == self._of(row) for step in history)
                    scored.append((likes - 0.01 * row, row))
            for place, (score, row) in enumerate(sorted(scored, reverse=True)[:k]):
                rows_BK[user, place], scores_BK[user, place] = row, score
        return PlainRanked(rows_BK, scores_BK)

    def evidence_many(self, past_BT: Rows, rows_BP: Rows) -> Floats:
        same = [
            [
                [float(min(past, row) >= 0 and self._of(past) == self._of(row)) for past in past_T]
                for row in rows_P
            ]
            for past_T, rows_P in zip(past_BT.tolist(), rows_BP.tolist(), strict=True)
        ]
        return np.array(same, np.float32).reshape(*rows_BP.shape, past_BT.shape[1])

    def taken(self, rows_N: Rows) -> NDArray[np.int64]:
        return np.zeros(len(rows_N), np.int64)

    def _category(self, item_id: str) -> str | None:
        row = self._catalog.row(item_id)
        return None if row < 0 else self._of(row)

    def _of(self, row: int) -> str:
        return self._catalog.item(row).category[-1]


class PlainModels:
    """Versions in JSON files, checked by hash as the real ones are."""

    def untrained(self, catalog: Catalog) -> PlainRanker:
        return PlainRanker(catalog, version=None)

    def load(self, announced: AdapterVersion) -> int:
        content = Path(announced.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != announced.sha256:
            msg = f"{announced.path} is not the file that was announced"
            raise ValueError(msg)
        return int(json.loads(content)["newest_ms"])

    def bind(self, announced: AdapterVersion, loaded: int, catalog: Catalog) -> PlainRanker:
        return PlainRanker(catalog, version=announced.version, newest_ms=loaded)


def publish(folder: Path, version: int, **more: Any) -> AdapterVersion:
    """Write a version's file and return its announcement."""
    path = folder / f"v{version}.json"
    content = json.dumps({"newest_ms": NOW_MS, "padding": "x" * 100}).encode()
    path.write_bytes(content)
    fields: dict[str, Any] = {
        "model": "next-item",
        "version": version,
        "path": str(path),
        "sha256": hashlib.sha256(content).hexdigest(),
        "parent": version - 1 or None,
        "offsets": {},
        "learnt": version * 100,
        "created_ms": NOW_MS,
        **more,
    }
    return AdapterVersion(**fields)


def user(user_id: str, *steps: tuple[str, Kind], end_ms: int = NOW_MS, **more: Any) -> UserFeatures:
    """A user who did these things, the last of them at `end_ms`, a minute apart."""
    times = [end_ms - 60_000 * (len(steps) - 1 - i) for i in range(len(steps))]
    return UserFeatures(
        user_id=user_id,
        updated_ms=end_ms,
        last_event_id=f"{user_id}-{len(steps)}",
        recent_items=tuple(item_id for item_id, _ in steps),
        recent_kinds=tuple(kind for _, kind in steps),
        recent_ts_ms=tuple(times),
        recent_ratings=(0.0,) * len(steps),
        events=len(steps),
        **more,
    )


def ask(user_id: str, k: int = 4, **more: Any) -> Ask:
    """A request for `k` items."""
    return Ask(
        recommendation_id=f"requests-0-{user_id}", request_id="r", user_id=user_id, k=k, **more
    )


def recommender(
    index: ItemIndex | None = None,
    config: ServingConfig = PLAIN,
    version: int | None = 1,
    newest_ms: int = 0,
) -> Recommender:
    """A recommender over the shelf, on a clock that stands at `NOW_MS`."""
    index = index or stocked()
    ranker = PlainRanker(index.catalog, version, newest_ms)
    return Recommender(index, ranker, config, ManualClock(NOW_MS))


def example(user_id: str, event_id: str, offset: int, item_id: str = "assam") -> Example:
    """An example as the profile emits it."""
    return Example(
        event_id=event_id,
        user_id=user_id,
        item_id=item_id,
        kind="view",
        ts_ms=NOW_MS,
        received_ms=NOW_MS,
        partition=0,
        offset=offset,
        history=(),
        user_events=1,
    )


def withdrawn(announced: AdapterVersion) -> AdapterVersion:
    """The same version, rolled back."""
    return msgspec.structs.replace(announced, status="rolled-back")
