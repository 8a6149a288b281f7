"""Reviews kept to be learnt again.

Legend: `N` reviews, `M` n-grams.

The newest are kept as texts and n-grams. Of each sentiment the newest few are kept as tokens too,
that is, as what the encoder's lower layers said: rare ones would else be gone when they are needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from learner.reviews.ngrams import Bags
from learner.reviews.shared import Tokens

Bag = tuple[NDArray[np.int32], NDArray[np.float32]]

Packed = tuple[str, str, int, float]


class Kept(NamedTuple):
    """One review that was learnt."""

    text: str
    user: str
    sentiment: int
    rating: float
    """NaN where it was guessed."""
    bag: Bag
    """Buckets and weights of its n-grams."""
    tokens: Tokens | None


class Memory:
    """The newest reviews, and the newest of each sentiment with their tokens.

    >>> memory = Memory(size=2, tokens=1)
    >>> bag, tokens = (np.zeros(1, np.int32), np.ones(1, np.float32)), np.zeros((1, 4), np.float16)
    >>> memory.add([Kept(str(n), "ada", 2, 5.0, bag, tokens) for n in range(3)])
    >>> [one.text for one in memory.newest], [len(of) for of in memory.by_sentiment]
    (['1', '2'], [0, 0, 1])
    """

    def __init__(self, size: int, tokens: int) -> None:
        self.newest = deque[Kept](maxlen=size)
        self.by_sentiment = tuple(deque[Kept](maxlen=tokens) for _ in range(3))

    def add(self, reviews: Sequence[Kept]) -> None:
        """Keep reviews, in the place of the oldest."""
        for one in reviews:
            self.newest.append(one._replace(tokens=None))
            if one.tokens is not None:
                self.by_sentiment[one.sentiment].append(one)

    def sample(self, count: int, chance: np.random.Generator) -> list[Kept]:
        """Reviews drawn evenly from the newest."""
        if not self.newest:
            return []
        return [self.newest[n] for n in chance.integers(len(self.newest), size=count)]

    def balanced(self, count: int, chance: np.random.Generator) -> list[Kept]:
        """Reviews with tokens, every sentiment that there is as often as the others."""
        there = [of for of in self.by_sentiment if of]
        if not there:
            return []
        which = chance.integers(len(there), size=count)
        places = chance.random(count)
        return [there[w][int(p * len(there[w]))] for w, p in zip(which, places, strict=True)]

    def forget(self, user: str) -> None:
        """Drop a user's reviews."""
        for of in (self.newest, *self.by_sentiment):
            left = [one for one in of if one.user != user]
            of.clear()
            of.extend(left)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps: texts, from which the rest is made again."""
        parts = [[_packed(one) for one in of] for of in (self.newest, *self.by_sentiment)]
        return {"texts": np.frombuffer(msgspec.msgpack.encode(parts), np.uint8)}


def packed_reviews(state: Mapping[str, NDArray[np.generic]]) -> list[list[Packed]]:
    """What a checkpoint keeps: the newest, then the newest of each sentiment."""
    return msgspec.msgpack.decode(state["texts"].tobytes(), type=list[list[Packed]])


def together(reviews: Sequence[Kept]) -> Bags:
    """N-grams of several reviews as one."""
    starts = np.cumsum([0, *(len(one.bag[0]) for one in reviews)])
    return Bags(
        np.concatenate([np.zeros(0, np.int64), *(one.bag[0] for one in reviews)]),
        np.concatenate([np.zeros(0, np.float32), *(one.bag[1] for one in reviews)]),
        starts,
    )


def parted(bags: Bags) -> list[Bag]:
    """N-grams text by text."""
    at_M = bags.at_M.astype(np.int32)
    ends = zip(bags.starts[:-1], bags.starts[1:], strict=True)
    return [(at_M[a:b].copy(), bags.weight_M[a:b].copy()) for a, b in ends]


def _packed(one: Kept) -> Packed:
    return one.text, one.user, one.sentiment, one.rating
