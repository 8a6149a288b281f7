"""Whose label would teach most: reviews in the order in which a person should be asked.

Uncertainty sampling (Lewis & Gale, "A sequential algorithm for training text classifiers", 1994),
by how near the two likeliest sentiments are once rare ones count as much as they do in the answer.
The same words are asked about once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Asked(NamedTuple):
    """One review that is worth a label."""

    place: int
    """In the texts that were given."""
    doubt: float


def ask_first(texts: Sequence[str], doubt_N: NDArray[np.float64], most: int) -> list[Asked]:
    """Of texts and their readings' doubt, the `most` doubtful, none twice, none empty.

    >>> ask_first(["fine", "so so", "So  so", "", "ugh"], np.array([0.1, 0.9, 0.95, 1.0, 0.4]), 2)
    [Asked(place=2, doubt=0.95), Asked(place=4, doubt=0.4)]
    """
    asked, known = list[Asked](), {""}
    for n in np.argsort(-doubt_N, kind="stable"):
        if len(asked) >= most:
            break
        words = " ".join(texts[int(n)].casefold().split())
        if words not in known:
            known.add(words)
            asked.append(Asked(int(n), float(doubt_N[n])))
    return asked
