"""Predicted clicks beside observed ones on the simulated shop: per surface, in each tenth of shows.

Shoppers are shown lists of ten, ranked by what is popular and by what followed the item looked at
last, as both are counted so far. What they do to them goes through the product's own joiner of
outcomes, and its calibration predicts each shown item before it learns it, in batches. On `mail`
seven lists of ten are not looked at. A tenth of a surface's shows, by prediction, is a decile; its
ratio is told with the interval (95 %) that chance alone leaves to the observed clicks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from features.outcomes import OutcomesConfig, act, close, due_ms, show
from features.outcomes_state import EMPTY, At, Shows
from learner.calibration import Calibration
from learner.calibration_labels import Labels, Shown
from stream.events import Outcome, Recommendation, RecommendedItem
from stream.parse import TopicKind, parse_event
from stream.shop import Shop, ShopConfig

K = 10
BATCH = 500
MAIL_SHARE, MAIL_LOOKED_AT = 0.25, 0.3
WINDOWS = OutcomesConfig(on=True, purchase_window_s=3_600.0)
SHOP = ShopConfig(
    shoppers=2_000, open_visits=32, mean_gap_ms=2_000, bot_share=0, broken_share=0,
    duplicate_share=0,
)  # fmt: skip


class Counts:
    """What is popular and what follows what, as scores of all items."""

    def __init__(self, most: int) -> None:
        self.row: dict[str, int] = {}
        self.ids: list[str] = []
        self.popular_I = np.zeros(most, np.float32)
        self.pairs_II = np.zeros((most, most), np.float32)
        self.last: dict[str, int] = {}

    def add(self, item_id: str) -> int:
        if item_id not in self.row:
            self.row[item_id] = len(self.ids)
            self.ids.append(item_id)
        return self.row[item_id]

    def take(self, user_id: str, item_id: str) -> None:
        row, before = self.add(item_id), self.last.get(user_id)
        self.popular_I *= 0.9997
        self.popular_I[row] += 1
        if before is not None and before != row:
            self.pairs_II[before, row] += 1
        self.last[user_id] = row

    def best(self, user_id: str) -> list[tuple[str, float]]:
        score_I = np.log1p(self.popular_I)
        last = self.last.get(user_id)
        if last is not None:
            score_I = score_I + 1.5 * np.log1p(self.pairs_II[last])
            score_I[last] = -9.0
        top = np.argpartition(-score_I, K)[:K]
        top = top[np.argsort(-score_I[top], kind="stable")]
        return [(self.ids[row], float(score_I[row])) for row in top if row < len(self.ids)]


class Users:
    """The joiner's states in memory, closed as time goes by."""

    def __init__(self) -> None:
        self.states: dict[str, Shows] = {}
        self.due: dict[str, int] = {}
        self.told: list[Outcome] = []
        self._n = 0

    def shown(self, answer: Recommendation) -> None:
        self._n += 1
        at = At(0, self._n, answer.ts_ms)
        state = self.states.get(answer.user_id, EMPTY)
        self._keep(answer.user_id, *show(state, answer, at, WINDOWS))

    def acted(self, kind: TopicKind, value: bytes, ms: int) -> None:
        event = parse_event(kind, value, "", ms, ms)
        self._n += 1
        state = self.states.get(event.user_id, EMPTY)
        self._keep(event.user_id, *act(state, event, At(1, self._n, ms), WINDOWS))

    def close(self, ms: int) -> None:
        for user_id in [user for user, at in self.due.items() if at <= ms]:
            self._keep(user_id, *close(self.states[user_id], user_id, ms, WINDOWS))

    def _keep(self, user_id: str, state: Shows, told: object) -> None:
        self.states[user_id] = state
        self.told += cast("list[Outcome]", told)
        at = due_ms(state, WINDOWS)
        if at is None:
            self.due.pop(user_id, None)
        else:
            self.due[user_id] = at


class Seen(NamedTuple):
    """What was predicted of shown items, and what came."""

    predicted_N: NDArray[np.float64]
    clicked_N: NDArray[np.float64]


def play(lists: int, seed: int) -> dict[str, Seen]:
    """Let shoppers see lists, learn, and return each surface's predictions."""
    calibration, labels = Calibration(), Labels()
    found: dict[str, list[Seen]] = {}
    waiting: dict[str, list[Shown]] = {}
    for one in _labelled(lists, seed, labels):
        batch = waiting.setdefault(one.surface, [])
        batch.append(one)
        if len(batch) == BATCH:
            score_N, place_N, click_N = (
                np.array([s.score for s in batch]),
                np.array([s.place for s in batch]),
                np.array([s.clicked for s in batch]),
            )
            predicted_N = calibration.learn(one.surface, score_N, place_N, click_N)
            found.setdefault(one.surface, []).append(Seen(predicted_N, click_N.astype(float)))
            batch.clear()
    return {
        surface: Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        for surface, parts in found.items()
    }


def _labelled(lists: int, seed: int, labels: Labels) -> Iterator[Shown]:
    shop, rng = Shop(seed, SHOP), Random(seed)
    counts, users = Counts(4_000), Users()
    for item in shop.items():
        counts.add(item.item_id)
    for n in range(lists):
        for record in shop.step():
            if record.topic_kind in {"items", "requests"}:
                if record.topic_kind == "items" and record.key:
                    counts.add(record.key.decode())
                continue
            users.acted(cast("TopicKind", record.topic_kind), record.value or b"", record.ts_ms)
            event = json.loads(record.value or b"")
            counts.take(event["user_id"], event["item_id"])
            user_id, now_ms = event["user_id"], record.ts_ms
        mail = rng.random() < MAIL_SHARE
        surface = "mail" if mail else rng.choice(("home", "product"))
        answer = Recommendation(
            recommendation_id=f"r-{n}",
            request_id=f"r-{n}",
            user_id=user_id,
            ts_ms=now_ms + 1,
            items=tuple(
                RecommendedItem(item_id=item, score=score) for item, score in counts.best(user_id)
            ),
            path="model",
            model_version=1,
            surface=surface,
        )
        users.shown(answer)
        if not mail or rng.random() < MAIL_LOOKED_AT:
            shop.see(answer)
        if n % 50 == 0:
            users.close(now_ms)
            yield from labels.take(users.told)
            users.told.clear()


def deciles(seen: Seen, skip: float) -> list[tuple[int, float, float, float]]:
    """Of each tenth by prediction: shows, predicted / observed, and half of chance's interval."""
    start = int(len(seen.predicted_N) * skip)
    predicted_N, clicked_N = seen.predicted_N[start:], seen.clicked_N[start:]
    out = []
    for part in np.array_split(np.argsort(predicted_N, kind="stable"), 10):
        predicted, clicks = predicted_N[part].sum(), clicked_N[part].sum()
        chance = 1.96 * (np.sqrt(clicks) / clicks) if clicks else float("inf")
        out.append((len(part), float(predicted / max(clicks, 1)), float(chance), float(clicks)))
    return out


def error(seen: Seen, skip: float) -> float:
    """Expected calibration error over tenths."""
    start = int(len(seen.predicted_N) * skip)
    predicted_N, clicked_N = seen.predicted_N[start:], seen.clicked_N[start:]
    parts = np.array_split(np.argsort(predicted_N, kind="stable"), 10)
    gaps = [abs(predicted_N[part].mean() - clicked_N[part].mean()) for part in parts]
    return float(np.mean(gaps))


def main() -> int:
    """Print a line for each surface."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=float, default=0.3, help="share that is only learnt")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begun = time.perf_counter()
    for surface, seen in sorted(play(options.lists, options.seed).items()):
        tenths = deciles(seen, options.skip)
        line = {
            "surface": surface,
            "shows": len(seen.predicted_N),
            "click_rate": round(float(seen.clicked_N.mean()), 4),
            "ece": round(error(seen, options.skip), 5),
            "ratios": [round(ratio, 3) for _, ratio, _, _ in tenths],
            "chance": [round(chance, 3) for _, _, chance, _ in tenths],
            "clicks": [int(clicks) for _, _, _, clicks in tenths],
            "seconds": round(time.perf_counter() - begun, 1),
        }
        if options.json:
            sys.stdout.write(json.dumps(line) + "\n")
        else:
            sys.stdout.write("  ".join(f"{name} {value}" for name, value in line.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
