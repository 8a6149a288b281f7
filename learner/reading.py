"""Reviews among the examples: read first, then learnt, as all else is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.events import Example, Reading, Sentiment
from stream.metrics import READ_REVIEWS, READER_ERROR

SENTIMENTS: tuple[Sentiment, ...] = ("negative", "neutral", "positive")
"""In the order of a reader's probabilities."""


class Read(NamedTuple):
    """What `N` texts say.

    Attributes
    ----------
    sentiment_N3
        Probabilities of `SENTIMENTS`.
    rating_N
        Stars, from 1 to 5.
    doubt_N
        From 0, sure, to 1.
    """

    sentiment_N3: NDArray[np.float64]
    rating_N: NDArray[np.float64]
    doubt_N: NDArray[np.float64]


class ReadsReviews(Protocol):
    """A reader of reviews, as `learner.reviews.reader.ReviewReader` is one."""

    def read(self, texts: Sequence[str]) -> Read:
        """What texts say, by what was learnt before them."""

    def learn(
        self,
        texts: Sequence[str],
        ratings: Sequence[float | None],
        users: Sequence[str],
        items: Sequence[str],
    ) -> object:
        """Learn a micro-batch; without a rating, a text teaches by itself or not at all."""

    def forget(self, user_ids: Collection[str]) -> None:
        """Drop what is kept of single users."""

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
            sentiment=SENTIMENTS[int(likely)],
            doubt=round(float(doubt), 3),
            stars=example.rating,
        )
        for example, likely, rating, doubt in zip(
            reviews,
            found.sentiment_N3.argmax(axis=1),
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
