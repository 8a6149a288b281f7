"""How users and items are usually rated: means, shrunk to the mean of all.

Legend: `N` reviews.

A mean of few ratings says little: it counts as though `shrink` ratings at the mean of all came
first (empirical Bayes; Koren, "Factorization meets the neighborhood", 2008, section 2.1). The
user's is of what is left once the item's is known.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class Biases:
    """Sums of ratings by user and by item, and of all.

    >>> biases = Biases(shrink=1.0, most=10)
    >>> biases.learn(["ada", "bob"], ["pot", "lid"], np.array([1.0, 5.0]))
    >>> biases.mean, biases.read(["bob", "eve"], ["pot", "new"]).round(2).tolist()
    (3.6, [-1.0, 0.0])
    """

    def __init__(self, shrink: float, most: int) -> None:
        self.shrink, self.most = shrink, most
        self.total, self.count = 4.0 * 3, 3.0
        self._user = OrderedDict[str, tuple[float, int]]()
        self._item = OrderedDict[str, tuple[float, int]]()

    @property
    def mean(self) -> float:
        """Of all ratings."""
        return round(self.total / self.count, 12)

    def read(self, users: Sequence[str], items: Sequence[str]) -> NDArray[np.float64]:
        """What is usual for user and item together, from the mean on: (N,)."""
        pairs = zip(users, items, strict=True)
        return np.array([self._of(self._user, u) + self._of(self._item, i) for u, i in pairs])

    def learn(
        self, users: Sequence[str], items: Sequence[str], rating_N: NDArray[np.float64]
    ) -> None:
        """Count ratings; the longest idle are forgotten beyond `most`."""
        for user, item, rating in zip(users, items, rating_N, strict=True):
            left = float(rating) - self.mean
            of_item = self._of(self._item, item)
            self._add(self._item, item, left)
            self._add(self._user, user, left - of_item)
        self.total += float(rating_N.sum())
        self.count += len(rating_N)

    def _of(self, table: Mapping[str, tuple[float, int]], key: str) -> float:
        total, count = table.get(key, (0.0, 0))
        return total / (count + self.shrink)

    def _add(self, table: OrderedDict[str, tuple[float, int]], key: str, left: float) -> None:
        total, count = table.pop(key, (0.0, 0))
        table[key] = total + left, count + 1
        if len(table) > self.most:
            table.popitem(last=False)

    def forget(self, user: str) -> None:
        """Drop what is known of a user."""
        self._user.pop(user, None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        tables = [list(self._user.items()), list(self._item.items())]
        return {
            "sums": np.array([self.total, self.count]),
            "tables": np.frombuffer(msgspec.msgpack.encode(tables), np.uint8),
        }

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        self.total, self.count = (float(value) for value in state["sums"])
        kind = list[list[tuple[str, tuple[float, int]]]]
        user, item = msgspec.msgpack.decode(state["tables"].tobytes(), type=kind)
        self._user, self._item = OrderedDict(user), OrderedDict(item)
