"""Reasons, held against the model: without the events that a reason names, is the score lower?

Each list is made by the recommender, as serving makes it. For each item whose reason names events
of the user, the user's history is ranked again without those events, and without as many others,
drawn by chance. A reason holds if the item's score falls, and if it falls further than by chance
(counterfactual explanations: Tan et al., CIKM 2021; survey arXiv 2203.01310).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from random import Random

import numpy as np
import torch

from features.store import UserFeatures
from infra.scorer_models import VersionedScorer
from learner.scorer import Scorer
from serving.ask import Ask
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import Because, Example, Step, json_encode
from tests.bench._served_shop import ServedShop, served_shop

LOWER, MORE = 0.95, 0.80
"""Of reasons: those without whose events the score is lower, and lower than by chance."""

K = 10

Counts = Counter[str]


def measure(shop: ServedShop, moments: int, seed: int = 0) -> Counts:
    """Count reasons that name events, and how they hold, of lists for evenly drawn moments."""
    chance, counts = Random(seed), Counter[str]()
    for moment in shop.moments[:: max(1, len(shop.moments) // moments)][:moments]:
        clock = ManualClock(moment.ts_ms)
        recommender = Recommender(
            ItemIndex(shop.catalog),
            VersionedScorer(shop.scorer, 1, moment.ts_ms),
            ServingConfig(explore_share=0.0),
            clock,
        )
        ask = Ask(recommendation_id="r", user_id=moment.user_id, k=K)
        (answer,) = recommender.answer_many([ask], [row_of(moment)])
        for entry in answer.items:
            because = entry.because if isinstance(entry.because, tuple) else ()
            counts["items"] += 1
            if because:
                _hold(shop, moment, entry.item_id, because, counts, chance, entry.reason)
    return counts


def _hold(  # noqa: PLR0913, PLR0917
    shop: ServedShop,
    moment: Example,
    item_id: str,
    because: Sequence[Because],
    counts: Counts,
    chance: Random,
    reason: str,
) -> None:
    named = {(one.item_id, one.ts_ms) for one in because}
    rest = [step for step in moment.history if (step.item_id, step.ts_ms) not in named]
    taken = len(moment.history) - len(rest)
    if len(rest) <= taken:
        return  # hardly anything is left to compare with
    others = [step for step in moment.history if step in rest]
    drawn = chance.sample(range(len(others)), taken)
    left = {(others[n].item_id, others[n].ts_ms) for n in drawn}
    by_chance = [step for step in moment.history if (step.item_id, step.ts_ms) not in left]
    row = shop.catalog.row(item_id)
    whole, without, random = scores(
        shop.scorer, [list(moment.history), rest, by_chance], moment.ts_ms, row, len(shop.catalog)
    )
    kind = reason.split(" ", maxsplit=1)[0]
    for name in ("reasons", f"{kind}: reasons"):
        counts[name] += 1
    for name in ("lower", f"{kind}: lower"):
        counts[name] += without < whole
    for name in ("more than by chance", f"{kind}: more than by chance"):
        counts[name] += without < random


def scores(
    scorer: Scorer, histories: Sequence[Sequence[Step]], now_ms: int, row: int, items: int
) -> list[float]:
    """One item's score under several histories of a user."""
    only = np.arange(items) == row
    ranked = scorer.rank_many(histories, now_ms, 1, None, [only] * len(histories))
    return [float(score) for score in ranked.scores_BK[:, 0]]


def row_of(moment: Example) -> UserFeatures:
    """The user's row in the online store, as far as ranking reads it."""
    steps = moment.history
    return UserFeatures(
        user_id=moment.user_id,
        updated_ms=steps[-1].ts_ms,
        last_event_id="e",
        recent_items=tuple(step.item_id for step in steps),
        recent_kinds=tuple(step.kind for step in steps),
        recent_ts_ms=tuple(step.ts_ms for step in steps),
        recent_ratings=tuple(step.rating or 0.0 for step in steps),
        events=len(steps),
    )


def shares(counts: Counts) -> dict[str, float]:
    """The figures, with whether the bars hold."""
    reasons = max(1, counts["reasons"])
    return {
        "items": counts["items"],
        "reasons": counts["reasons"],
        "lower": round(counts["lower"] / reasons, 4),
        "more_than_by_chance": round(counts["more than by chance"] / reasons, 4),
        "holds": counts["lower"] >= LOWER * reasons
        and counts["more than by chance"] >= MORE * reasons,
    }


def main(arguments: Sequence[str]) -> None:
    """Print the figures as a line of JSON, and those of each kind of reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8_000)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    counts = measure(served_shop(asked.events, asked.seed), asked.moments)
    for name, count in sorted(counts.items()):
        sys.stderr.write(f"{name:<32} {count:>6,}\n")
    sys.stdout.write(json_encode({"seed": asked.seed} | shares(counts)).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
