"""Reviews among the examples: read first, then learnt, as all else is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner.reviews.readings import SENTIMENTS, Readings
from stream.events import Example, Reading
from stream.metrics import READ_REVIEWS, READER_ERROR


class ReadsReviews(Protocol):
    """A reader of reviews, as `learner.reviews.reader.ReviewReader` is one."""

    def prepare(self) -> None:
        """Load what takes time to load, from any thread."""

    def read(
        self,
        texts: Sequence[str],
        users: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
    ) -> Readings:
        """What texts say, by what was learnt before them."""

    def learn(
        self,
        texts: Sequence[str],
        ratings: Sequence[float | None],
        users: Sequence[str],
        items: Sequence[str],
    ) -> object:
        """Learn a micro-batch; without a rating, a text teaches by itself or not at all."""

    def forget(self, user: str) -> None:
        """Drop what is kept of a user."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All that was learnt, as named arrays."""

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such arrays."""


def read_reviews(
    reader: ReadsReviews, examples: Sequence[Example], learnt: Mapping[int, int]
) -> list[Reading]:
    """Read the reviews among examples, then learn those that are new.

    Parameters
    ----------
    learnt
        By partition, the offset from which on examples are new. One that came before is read again,
        so that its reading isn't lost with a crash, but it teaches once.
    """
    reviews = [example for example in examples if example.text]
    if not reviews:
        return []
    # By their words alone: what a user or an item usually gets is no news of this one.
    found = reader.read([example.text for example in reviews])
    readings = [
        Reading(
            event_id=example.event_id,
            user_id=example.user_id,
            item_id=example.item_id,
            ts_ms=example.ts_ms,
            received_ms=example.received_ms,
            partition=example.partition,
            offset=example.offset,
            rating=round(float(rating), 2),
            sentiment=SENTIMENTS[int(label)],
            doubt=round(float(doubt), 3),
            stars=example.rating,
        )
        for example, label, rating, doubt in zip(
            reviews,
            found.label_N,
            np.clip(found.rating_N, 1, 5),
            np.clip(found.doubt_N, 0, 1),
            strict=True,
        )
    ]
    new = [example for example in reviews if example.offset >= learnt.get(example.partition, 0)]
    if new:
        reader.learn(
            [example.text for example in new],
            [example.rating for example in new],
            [example.user_id for example in new],
            [example.item_id for example in new],
        )
    for reading in readings:
        READ_REVIEWS.labels(sentiment=reading.sentiment).inc()
        if reading.stars is not None:
            READER_ERROR.observe(abs(reading.rating - reading.stars))
    return readings
