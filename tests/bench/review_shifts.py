"""Interests that move in review texts alone: are they found, and do lists follow?

Shoppers look at two shelves alike and review both, without stars. What they write praises the one
and complains of the other; now and then the two change places, and only the texts say so. Each
phase ends with a purchase on the praised shelf, which nothing but the texts foretells after a
change. Others rate what they review: from them the reader learns what words mean.

The same log is played twice: with readings, and blind to texts. Everything is ranked before it is
learnt.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
import torch

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply
from features.profile_state import EMPTY, Profile
from features.readings import hear
from learner.catalogue import catalogue_of
from learner.config import EncoderConfig, LearnerConfig, ModelConfig
from learner.encoder import TextEncoder
from learner.online import OnlineLearner
from learner.ranking_metrics import bootstrap_interval, gains
from learner.reading import read_reviews
from learner.reviews.config import ReviewConfig
from learner.reviews.reader import ReviewReader
from learner.scorer import Scorer
from stream.events import Example, json_encode
from tests.bench._review_course import Planned, course

BATCH = 32
SURE = 3.0


class Line(msgspec.Struct, frozen=True):
    """What one seed gave, with readings and blind: shares of phases, NDCG of their purchases."""

    seed: int
    language: str
    events: int
    phases_moved: int
    read_right: float
    found: float
    found_where_none: float
    ndcg10_moved: float
    ndcg10_moved_blind: float
    ndcg10_other: float
    ndcg10_other_blind: float
    low: float
    high: float
    praised_in_top10: float
    praised_in_top10_blind: float


class Played:
    """One pass over the log: the profile, the reader and the learner, as the roles join them."""

    def __init__(self, catalog: Catalog, seed: int, *, reads: bool) -> None:
        self.catalog = catalog
        self.interest = InterestConfig()
        detector = PageHinkleyDetector(self.interest)
        self.model = InterestModel(ItemSpace(catalog), detector, self.interest)
        config = LearnerConfig(device="cpu", seed=seed, model=ModelConfig(transformer=False))
        self.learner = OnlineLearner(catalog, config)
        self.reader = None
        if reads:
            self.reader = ReviewReader(ReviewConfig(encoder=False), EncoderConfig(), seed=seed)
        self.profiles: dict[str, Profile] = {}
        self.shifts: list[tuple[str, int]] = []
        self.gain: list[float] = []
        self.share: list[float] = []
        self.right: list[bool] = []

    def play(self, log: Sequence[Planned]) -> None:
        """Rank, read, learn, hear."""
        for start in range(0, len(log), BATCH):
            part = log[start : start + BATCH]
            examples = [self._apply(one, start + n) for n, one in enumerate(part)]
            self.share += [self._praised(one, ex) for one, ex in zip(part, examples, strict=True)]
            learnt = dict(self.learner.offsets)
            self.gain += gains(self.learner.learn_many(examples).rank_N).tolist()
            if self.reader is not None:
                self._hear(part, examples, learnt)

    def _apply(self, one: Planned, offset: int) -> Example:
        profile = self.profiles.get(one.event.user_id, EMPTY)
        applied = apply(profile, one.event, Place(0, offset), self.model)
        self.profiles[one.event.user_id] = applied.profile
        assert applied.example is not None
        return applied.example

    def _hear(
        self, part: Sequence[Planned], examples: Sequence[Example], learnt: dict[int, int]
    ) -> None:
        assert self.reader is not None
        meant = {one.event.event_id: one for one in part}
        for reading in read_reviews(self.reader, examples, learnt):
            one = meant[reading.event_id]
            if reading.stars is None:
                self.right.append((reading.rating > SURE) == (one.stars > SURE))
            profile = self.profiles[reading.user_id]
            readings, moved = hear(profile.readings, reading, self._category, self.interest)
            if moved is not None:
                self.shifts.append((reading.user_id, one.phase))
            self.profiles[reading.user_id] = msgspec.structs.replace(profile, readings=readings)

    def _category(self, item_id: str) -> str:
        return self.model.space.facts(item_id).category

    def _praised(self, one: Planned, example: Example) -> float:
        """The share of the praised shelf in the list that a buyer sees."""
        if one.event.kind != "purchase":
            return 0.0
        scorer = Scorer(self.learner.ranker)
        ranked = scorer.rank_many([example.history], example.ts_ms, 10)
        rows = [int(row) for row in ranked.rows_BK[0] if row >= 0]
        names = [" > ".join(self.catalog.item(row).category) for row in rows]
        return names.count(one.shelf) / max(len(names), 1)


def measure(seed: int, asked: argparse.Namespace, encoder: TextEncoder) -> Line:
    """Play one seed's log with readings and without."""
    log, items = course(seed, asked.shoppers, asked.raters, asked.language)
    both = []
    for reads in (True, False):
        played = Played(catalogue_of(items, encoder, encoder.config.width), seed, reads=reads)
        played.play(log)
        both.append(played)
    heard, blind = both
    bought_N = np.array([one.event.kind == "purchase" for one in log])
    moved_N = bought_N & np.array([one.moved for one in log])
    late_N = bought_N & np.array([one.phase > 1 for one in log])
    other_N = late_N & ~moved_N
    phases = {(one.event.user_id, one.phase): one.moved for one in log if one.phase > 1}
    found = set(heard.shifts)
    where = {True: [], False: []}  # type: dict[bool, list[bool]]
    for phase, moved in phases.items():
        where[moved].append(phase in found)
    user_N = np.unique([one.event.user_id for one in log], return_inverse=True)[1]
    gain, gain_blind = np.array(heard.gain), np.array(blind.gain)
    low, high = bootstrap_interval((gain - gain_blind)[moved_N], user_N[moved_N])

    def mean(values: Sequence[float], mask_N: np.ndarray) -> float:
        return round(float(np.array(values)[mask_N].mean()), 4)

    return Line(
        seed=seed,
        language=asked.language,
        events=len(log),
        phases_moved=len(where[True]),
        read_right=round(float(np.mean(heard.right)), 3),
        found=round(float(np.mean(where[True])), 3),
        found_where_none=round(float(np.mean(where[False])), 3),
        ndcg10_moved=mean(heard.gain, moved_N),
        ndcg10_moved_blind=mean(blind.gain, moved_N),
        ndcg10_other=mean(heard.gain, other_N),
        ndcg10_other_blind=mean(blind.gain, other_N),
        low=round(low, 4),
        high=round(high, 4),
        praised_in_top10=mean(heard.share, moved_N),
        praised_in_top10_blind=mean(blind.share, moved_N),
    )


def main(arguments: Sequence[str]) -> int:
    """Print a line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shoppers", type=int, default=80)
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    encoder = TextEncoder(EncoderConfig(device="cpu"))
    for seed in asked.seeds:
        line = measure(seed, asked, encoder)
        sys.stdout.write((json_encode(line).decode() if asked.json else str(line)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
