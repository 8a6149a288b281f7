"""The two interest vectors of users, pulled by their events: all users of a run at once.

The first events of all users pull together, then the second ones, and so on: what numpy asks for a
call is shared by the users. What comes out doesn't depend, to the bit, on who else was in the run.

Shapes: `U` users, `E` pulls of all of them, `M` the users who have a pull of a round, `R` rounds,
`D` = 64; 2 is the short-term and the long-term interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.interest import InterestConfig
from features.store import VECTOR_WIDTH

_NOTHING = np.zeros(VECTOR_WIDTH, np.float32)
_NOTHING.setflags(write=False)
_ZEROS = bytes(2 * 2 * VECTOR_WIDTH)


class Interests(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The two interest vectors of a user, as little-endian float16; empty before the first item.

    They are rounded to float16 after every event, not when they are saved, so that it makes no
    difference to the state how the events were cut into micro-batches.
    """

    short: bytes = b""
    long: bytes = b""
    pulls: float = 0.0

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The short-term and the long-term vector, each of shape (D,)."""
        if not self.short:
            return _NOTHING, _NOTHING
        both_2D = np.frombuffer(self.short + self.long, "<f2").astype(np.float32)
        return both_2D[:VECTOR_WIDTH], both_2D[VECTOR_WIDTH:]


class Pull(NamedTuple):
    """An event's pull: towards which item, how far each interest goes, and the weights so far."""

    vector_D: NDArray[np.float32]
    step_short: float
    step_long: float
    pulls: float


class Pulled(NamedTuple):
    """Interests after some pulls, and the divergence before the first and after each of them.

    The divergence is how far the two point apart: 1 - cosine, 0 where one is missing.
    """

    interests: Interests
    divergences: list[float]


class Strength:
    """How far events pull, by their weight and by how many came before.

    Examples
    --------
    >>> strength = Strength(InterestConfig(short_half_life_events=1))
    >>> strength.pull(_NOTHING, 1.0, pulls=8.0)[1:]
    (0.5, 0.1, 9.0)
    """

    def __init__(self, config: InterestConfig) -> None:
        self.weight = config.weight
        self._keep_short: float = 0.5 ** (1 / config.short_half_life_events)
        self._keep_long: float = 0.5 ** (1 / config.long_half_life_events)

    def pull(
        self, vector_D: NDArray[np.float32], weight: float, pulls: float, later_events: int = 0
    ) -> Pull:
        """Make an event's pull.

        Parameters
        ----------
        weight
            Above 0, at most 1.
        pulls
            The weights of the user's pulls before, summed.
        later_events
            How many known events are later than this one: a late event pulls as little as it would
            still be remembered if it had come in time.
        """
        pulls += weight
        # While there are few events, the mean of them all: else the first item would stay in the
        # long-term interest for the length of its half-life.
        share = 1 / (1 + pulls)
        short = weight * max(1 - self._keep_short, share)
        long = weight * max(1 - self._keep_long, share)
        if later_events:
            short *= self._keep_short**later_events
            long *= self._keep_long**later_events
        return Pull(vector_D, short, long, pulls)


def pull_all(before: Sequence[Interests], pulls: Sequence[Sequence[Pull]]) -> list[Pulled]:
    """Move the interests of users towards their items.

    Parameters
    ----------
    before
        Of each user.
    pulls
        Of each user, in order; the first one's item is a new user's interest, whatever its steps.

    Examples
    --------
    >>> east, north = np.eye(64, dtype=np.float32)[:2]
    >>> new, some = Interests(), [Pull(east, 0.7, 0.4, 1.0), Pull(north, 1.0, 0.0, 2.0)]
    >>> [pulled.divergences for pulled in pull_all([new, new], [some, []])]
    [[0.0, 0.0, 1.0], [0.0]]
    """
    counts_U = np.fromiter(map(len, pulls), np.int64, len(pulls))
    firsts_U = np.cumsum(counts_U) - counts_U
    rounds = int(counts_U.max(initial=0))
    vectors, *steps = zip(*chain.from_iterable(pulls), strict=True) if rounds else ((), (), (), ())
    vectors_ED = np.frombuffer(b"".join(vectors), np.float32).reshape(-1, VECTOR_WIDTH)
    steps_E2 = np.array(steps[:2], np.float32).T
    packed = b"".join([one.short + one.long if one.short else _ZEROS for one in before])
    both_U2D = np.frombuffer(packed, "<f2").astype(np.float32).reshape(-1, 2, VECTOR_WIDTH)
    for user, interests in enumerate(before):
        if not interests.short and counts_U[user]:
            first = firsts_U[user]
            both_U2D[user], steps_E2[first] = vectors_ED[first], 1.0
    apart_UR = np.zeros((len(pulls), rounds + 1))
    apart_UR[:, 0] = _apart(both_U2D)
    order_U = np.argsort(-counts_U, kind="stable")
    both_U2D = both_U2D[order_U]  # who has a pull of a round comes before who has none
    for number in range(rounds):
        users_M = order_U[: np.count_nonzero(counts_U > number)]
        pulls_M = firsts_U[users_M] + number
        both_M2D = both_U2D[: len(users_M)]
        way_M2D = vectors_ED[pulls_M][:, None, :] - both_M2D
        way_M2D *= steps_E2[pulls_M][:, :, None]
        way_M2D += both_M2D
        both_M2D[:] = way_M2D.astype("<f2")
        apart_UR[users_M, number + 1] = _apart(both_M2D)
    halves_U2 = both_U2D[np.argsort(order_U)].astype("<f2")
    after = []
    columns = zip(before, pulls, halves_U2, apart_UR.tolist(), strict=True)
    for interests, some, halves_2, apart_R in columns:
        pulled = interests
        if some:
            short, long = halves_2[0].tobytes(), halves_2[1].tobytes()
            pulled = Interests(short, long, some[-1].pulls)
        after.append(Pulled(pulled, apart_R[: len(some) + 1]))
    return after


def _apart(both_U2D: NDArray[np.float32]) -> NDArray[np.float64]:
    gram_U22 = np.matmul(both_U2D, both_U2D.transpose(0, 2, 1)).astype(np.float64)
    norms_U = np.sqrt(gram_U22[:, 0, 0] * gram_U22[:, 1, 1])
    known_U = norms_U > 0
    return np.where(known_U, 1.0 - gram_U22[:, 0, 1] / np.where(known_U, norms_U, 1.0), 0.0)
