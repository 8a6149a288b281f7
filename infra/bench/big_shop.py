"""A large shop in seconds: items with made-up vectors, users with histories, one trained version.

Legend: `I` items, `D` width of the text vectors, `N` events, `T` steps of a history.

Nothing of it goes through the text encoder or the profile, which would take hours for 100,000 items
and are measured by benches of their own. Items come in groups whose vectors are alike; how often
an item is taken falls with its place (Zipf); a user stays in a few groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.store import UserFeatures
from learner.batch import histories_of
from learner.config import LearnerConfig
from learner.online import OnlineLearner
from learner.snapshot import Saved, Snapshots, publish_version
from learner.state import meta_of, save_ranker
from stream.events import AdapterVersion, Example, ItemVector, Step

GROUP = 200
"""Items of one kind: so many have much the same text."""

SPREAD = 0.8
"""Noise beside a group's direction, both of length 1: two of a group have a cosine of about .6."""

TASTES = 3
"""Groups that a user moves in."""

STEPS = 50
"""What the profile keeps of a user."""

COUNTED_AT_ONCE = 2_048
LEARNT = 2_048
"""Examples that the transformer and the nets step on, so that all arms are at work."""

MINUTE_MS = 60_000
DAY_MS = 86_400_000

_WORDS = ("oak", "tin", "blue", "fine", "old", "small", "round", "warm", "plain", "north")


class BigShop(NamedTuple):
    """How large, and from which seed; `now_ms` is the time of its newest events."""

    items: int
    users: int
    now_ms: int
    width: int = 384
    seed: int = 0

    @property
    def groups(self) -> int:
        """How many kinds of items there are."""
        return -(-self.items // GROUP)

    def item_vectors(self) -> Iterator[ItemVector]:
        """The catalogue, as the learner announces it."""
        generator = np.random.default_rng((self.seed, 1))
        for group in range(self.groups):
            size = min(GROUP, self.items - group * GROUP)
            centre_D = _unit(generator.standard_normal((1, self.width)))
            noise_ID = _unit(generator.standard_normal((size, self.width)))
            vectors = _unit(centre_D + SPREAD * noise_ID).astype("<f2")
            for place, vector in enumerate(vectors):
                number = group * GROUP + place
                words = " ".join(_WORDS[int(digit)] for digit in str(number))
                yield ItemVector(
                    item_id=item_id(number),
                    vector=vector.tobytes(),
                    encoder="made-up",
                    text_hash=str(number),
                    first_seen_ms=self.now_ms - 90 * DAY_MS,
                    title=f"{words} {group}",
                    category=("Shop", f"Kind {group}"),
                    brand=f"Brand {number % 97}",
                    price=float(number % 300 + 1),
                )

    def features(self) -> Iterator[UserFeatures]:
        """The users as the profile leaves them in the online store."""
        for user in range(self.users):
            numbers_T = self.history_of(user)
            times = self._times(len(numbers_T))
            yield UserFeatures(
                user_id=user_id(user),
                updated_ms=times[-1],
                last_event_id=f"seen-{user}",
                recent_items=tuple(item_id(number) for number in numbers_T.tolist()),
                recent_kinds=("view",) * len(numbers_T),
                recent_ts_ms=times,
                recent_ratings=(0.0,) * len(numbers_T),
                short_vector=(0.1,) * 64,
                long_vector=(0.1,) * 64,
                events=len(numbers_T),
                views=len(numbers_T),
                top_category=f"Kind {int(numbers_T[-1]) // GROUP}",
                top_brand="Brand 1",
                mean_price=20.0,
            )

    def history_of(self, user: int) -> NDArray[np.int64]:
        """The items that a user looked at, oldest first: between 5 and 50."""
        generator = np.random.default_rng((self.seed, 2, user))
        return self._histories(generator, 1, int(generator.integers(5, STEPS + 1))).ravel()

    def _histories(
        self, generator: np.random.Generator, users: int, steps: int
    ) -> NDArray[np.int64]:
        """Items that users look at, (users, steps)."""
        tastes = generator.integers(0, self.groups, (users, TASTES))
        group = np.take_along_axis(tastes, generator.integers(0, TASTES, (users, steps)), axis=1)
        place = np.minimum(generator.zipf(1.5, (users, steps)) - 1, GROUP - 1)
        return np.asarray(np.minimum(group * GROUP + place, self.items - 1))

    def version(self, catalog: Catalog, folder: Path, counted: int) -> AdapterVersion:
        """Count `counted` events, learn from some more, and publish the result in a folder."""
        learner = OnlineLearner(catalog, LearnerConfig(device="cpu"))
        for start in range(0, counted, COUNTED_AT_ONCE):
            examples = self._examples(start, min(COUNTED_AT_ONCE, counted - start))
            past = histories_of(catalog, examples, STEPS)
            rows_B = catalog.rows(example.item_id for example in examples)
            learner.ranker.experts.learn(rows_B, past, len(catalog))
        learner.learn_many(self._examples(counted, min(LEARNT, counted)))
        saved = Saved(save_ranker(learner.ranker), meta_of(learner))
        return publish_version(
            Snapshots(folder, keep=1),
            1,
            saved,
            model="behaviour",
            parent=None,
            created_ms=self.now_ms,
            figures={"loss": learner.last_loss},
        )

    def _examples(self, start: int, count: int) -> list[Example]:
        """Each event is the last step of a history of eleven."""
        examples = []
        generator = np.random.default_rng((self.seed, 3, start))
        lines = self._histories(generator, count, 11).tolist()
        for number, numbers in enumerate(lines, start):
            now_ms = self.now_ms - DAY_MS + number
            past = tuple(
                Step(item_id(seen), "view", now_ms - MINUTE_MS * (10 - at))
                for at, seen in enumerate(numbers[:-1])
            )
            examples.append(
                Example(
                    event_id=f"event-{number}",
                    user_id=user_id(self.users + number),
                    item_id=item_id(numbers[-1]),
                    kind="view",
                    ts_ms=now_ms,
                    received_ms=now_ms,
                    partition=0,
                    offset=number,
                    history=past,
                    user_events=len(past),
                )
            )
        return examples

    def _times(self, count: int) -> tuple[int, ...]:
        return tuple(self.now_ms - MINUTE_MS * (count - at) for at in range(count))


def item_id(number: int) -> str:
    """An item's name."""
    return f"item-{number:07d}"


def user_id(number: int) -> str:
    """A user's name."""
    return f"user-{number:07d}"


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
