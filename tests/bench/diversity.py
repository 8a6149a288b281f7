"""How unlike the items of a list are, and what it costs: MMR beside a DPP, caps and products.

A learner follows a simulated shop; for each moment after that, the 60 best candidates become a list
of 10 in each way. `ndcg10` is of the item that the user took next, `distance` the mean of 1 minus
the cosine over all pairs of a list. Changes are relative to the model's own order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import torch

from serving.diversity import Diversity, diversify_many, scale_rows
from serving.ranker import NOWHERE, Floats, Rows
from serving.same_product import Alike
from stream.events import json_encode
from tests.bench._dpp import Spanned
from tests.bench._served_shop import ServedShop, served_shop

POOL, K = 60, 10
FURTHER, LOSS = 0.15, 0.01
"""The bar: lists so much less alike, for so much less of NDCG@10 at most."""

LAMBDAS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
THETAS = (0.99, 0.97, 0.95, 0.93, 0.9, 0.85, 0.8)
CAPS = (6, 4, 3)


class Ranked(NamedTuple):
    """Pools of candidates, best first, and what was taken next."""

    rows_BK: Rows
    scores_BK: Floats
    true_B: Rows


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One way of making lists."""

    way: str
    ndcg10: float
    distance: float
    ndcg10_change: float = 0.0
    distance_change: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether lists are as much less alike as is asked, for as little as is allowed."""
        return self.distance_change >= FURTHER and self.ndcg10_change >= -LOSS


def measure(shop: ServedShop, moments: int) -> Iterator[Figures]:
    """Yield the figures of each way, the model's own order first."""
    ranked, vectors = pools(shop, moments), shop.catalog.vectors
    plain = figures("as ranked", ranked.rows_BK[:, :K], ranked, vectors)
    yield plain
    codes = Alike(shop.catalog).codes()
    ways: dict[str, Callable[[], Rows]] = {
        f"mmr {value}": _mmr(ranked, vectors, Diversity(value)) for value in LAMBDAS
    }
    ways |= {f"dpp {value}": _dpp(ranked, vectors, value) for value in THETAS}
    ways["one of a product"] = _mmr(ranked, vectors, Diversity(1.0, 2.0, codes))
    for cap in CAPS:
        ways[f"cap {cap}"] = _mmr(ranked, vectors, Diversity(1.0, 2.0, codes, cap, False))
    for way, make in ways.items():
        found = figures(way, make(), ranked, vectors)
        yield msgspec.structs.replace(
            found,
            ndcg10_change=round(found.ndcg10 / plain.ndcg10 - 1, 4),
            distance_change=round(found.distance / plain.distance - 1, 4),
        )


def pools(shop: ServedShop, moments: int) -> Ranked:
    """The best candidates of evenly spread moments."""
    some = shop.moments[:: max(1, len(shop.moments) // moments)][:moments]
    ranked = [
        shop.scorer.rank_many([one.history for one in some[at : at + 64]], some[at].ts_ms, POOL)
        for at in range(0, len(some), 64)
    ]
    return Ranked(
        np.concatenate([one.rows_BK for one in ranked]),
        np.concatenate([one.scores_BK for one in ranked]),
        shop.catalog.rows(one.item_id for one in some),
    )


def figures(way: str, rows_BP: Rows, ranked: Ranked, vectors: Floats) -> Figures:
    """NDCG@10, and the mean distance of pairs."""
    hit_BP = rows_BP == ranked.true_B[:, None]
    gain_B = np.where(hit_BP.any(axis=1), 1 / np.log2(hit_BP.argmax(axis=1) + 2), 0.0)
    vectors_BPD = vectors[rows_BP]
    like_BPP = vectors_BPD @ vectors_BPD.transpose(0, 2, 1)
    pairs = rows_BP.shape[1] * (rows_BP.shape[1] - 1)
    like_B = (like_BPP.sum((1, 2)) - np.trace(like_BPP, axis1=1, axis2=2)) / pairs
    return Figures(
        way=way, ndcg10=round(float(gain_B.mean()), 4), distance=round(1 - float(like_B.mean()), 4)
    )


def _mmr(ranked: Ranked, vectors: Floats, how: Diversity) -> Callable[[], Rows]:
    wanted = [K] * len(ranked.rows_BK)
    rows_BK, scores_BK = ranked.rows_BK, ranked.scores_BK
    return lambda: diversify_many(rows_BK, scores_BK, vectors, wanted_B=wanted, how=how)[0]


def _dpp(ranked: Ranked, vectors: Floats, theta: float) -> Callable[[], Rows]:
    def make() -> Rows:
        rows_BK, users = ranked.rows_BK, np.arange(len(ranked.rows_BK))
        relevance_BK = scale_rows(ranked.scores_BK, rows_BK, np.full(len(users), K))
        open_BK = np.where(rows_BK == NOWHERE, np.float32(-1e3), theta * relevance_BK)
        spanned, picks = Spanned(vectors[rows_BK], K), []
        for _ in range(K):
            best_B = (open_BK + (1 - theta) * spanned.gain_BK()).argmax(axis=1)
            open_BK[users, best_B] = -1e4
            picks.append(rows_BK[users, best_B])
            spanned.take(best_B)
        return np.stack(picks, axis=1)

    return make


def main(arguments: Sequence[str]) -> None:
    """Print a line of JSON for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8_000)
    parser.add_argument("--moments", type=int, default=1_600)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for found in measure(served_shop(asked.events, asked.seed), asked.moments):
        line = msgspec.to_builtins(found) | {"holds": found.holds}
        sys.stdout.write(json_encode(line).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
