"""An n-gram model of word pieces: what a generator has to beat.

Interpolated Kneser-Ney with one discount per order, n1 / (n1 + 2 n2) (Kneser and Ney, ICASSP 1995;
Chen and Goodman, 1999; Ney, Essen and Kneser, 1994, for the discount).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_START = -1

Gram = tuple[int, ...]


class KneserNey:
    """Counts pieces, and says how likely one is after others.

    Examples
    --------
    >>> model = KneserNey(pieces=10)
    >>> model.learn([[1, 2, 3], [1, 2, 4]])
    >>> round(sum(model.probability((1, 2), piece) for piece in range(10)), 6)
    1.0
    >>> model.probability((1, 2), 3) > model.probability((1, 2), 5) > 0
    True
    """

    def __init__(self, pieces: int, order: int = 3) -> None:
        self._pieces = pieces
        self._order = order
        self._grams: list[dict[Gram, int]] = [{} for _ in range(order)]
        self._contexts: list[dict[Gram, list[int]]] = [{} for _ in range(order)]
        # How many grams were seen once, and twice, by order.
        self._rare = [[0, 0, 0] for _ in range(order)]

    def learn(self, texts: Iterable[Sequence[int]]) -> None:
        """Count the texts' pieces. Lower orders count in how many contexts a gram stands."""
        for text in texts:
            padded = [_START] * (self._order - 1) + list(text)
            for end in range(self._order - 1, len(padded)):
                for length in range(self._order, 0, -1):
                    # A gram that is known already stands in no new context for shorter ones.
                    if not self._is_new(tuple(padded[end - length + 1 : end + 1])):
                        break

    def _is_new(self, gram: Gram) -> bool:
        """Count a gram; whether it is its first time."""
        order = len(gram) - 1
        count = self._grams[order].get(gram, 0)
        self._grams[order][gram] = count + 1
        context = self._contexts[order].setdefault(gram[:-1], [0, 0])
        context[0] += 1
        context[1] += not count
        rare = self._rare[order]
        if count in {1, 2}:
            rare[count] -= 1
        if count in {0, 1}:
            rare[count + 1] += 1
        return not count

    def nll(self, text: Sequence[int]) -> float:
        """Nats of a text."""
        padded = [_START] * (self._order - 1) + list(text)
        return -sum(
            math.log(self.probability(tuple(padded[at - self._order + 1 : at]), padded[at]))
            for at in range(self._order - 1, len(padded))
        )

    def probability(self, context: Gram, piece: int) -> float:
        """Of a piece after others."""
        found = 1.0 / self._pieces
        for length in range(1, self._order + 1):
            before = context[len(context) - length + 1 :]
            total, kinds = self._contexts[length - 1].get(before, (0, 0))
            if total:
                _, once, twice = self._rare[length - 1]
                discount = once / (once + 2 * twice) if once else 0.5
                seen = self._grams[length - 1].get((*before, piece), 0)
                found = (max(seen - discount, 0.0) + discount * kinds * found) / total
        return found
