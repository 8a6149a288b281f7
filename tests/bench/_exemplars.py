"""Examples kept of the blocks before: drawn evenly, or by herding as ADER does.

Legend: `N` examples, `D` width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.bench._blocks import Examples


class Exemplars:
    """At most `size` examples of all blocks that were learnt."""

    def __init__(self, size: int, *, herded: bool) -> None:
        self.size = size
        self.herded = herded
        self.seen = 0
        self._kept: Examples | None = None

    def __len__(self) -> int:
        return 0 if self._kept is None else len(self._kept)

    def sample(self, count: int, generator: np.random.Generator) -> Examples:
        """A batch, drawn evenly without repetition."""
        assert self._kept is not None
        return self._kept.take(generator.choice(len(self), min(count, len(self)), replace=False))

    def add(
        self, new: Examples, users_ND: NDArray[np.float32] | None, generator: np.random.Generator
    ) -> None:
        """Choose among what is kept and a block's examples.

        Drawn evenly, each example so far is as likely as any other. Herded, an item has as many
        places as its share of events here; `users_ND` says where the examples lie, the kept first.
        """
        if not self.size:
            return
        pool = new if self._kept is None else self._kept + new
        if not self.herded:
            share = len(new) / (self.seen + len(new))
            fresh = int(generator.binomial(min(self.size, len(pool)), share))
            fresh = min(max(fresh, self.size - len(self)), len(new))
            old = min(self.size - fresh, len(self))
            at = np.concatenate(
                [
                    generator.choice(len(self), old, replace=False) if old else np.zeros(0, int),
                    len(self) + generator.choice(len(new), fresh, replace=False),
                ]
            )
        else:
            assert users_ND is not None
            at = herd(pool.target_N, users_ND, self.size)
        self.seen += len(new)
        self._kept = pool.take(at.astype(np.int64))

    def pool(self, new: Examples) -> Examples:
        """What `add` chooses from."""
        return new if self._kept is None else self._kept + new


def herd(
    target_N: NDArray[np.int32], users_ND: NDArray[np.float32], size: int
) -> NDArray[np.int64]:
    """Pick, for each target, users whose mean stays close to that of all its users.

    Welling 2009, as in iCaRL and ADER (algorithm 1). An item's places are its share of targets.

    Examples
    --------
    >>> spread = np.array([[0.0], [4.0], [2.0], [9.0]], np.float32)
    >>> herd(np.array([7, 7, 7, 8], np.int32), spread, size=2).tolist()
    [2, 3]
    >>> herd(np.array([7, 7, 7, 8], np.int32), spread, size=3).tolist()
    [2, 0, 3]
    """
    order = np.argsort(target_N, kind="stable")
    picked: list[int] = []
    cuts = np.flatnonzero(np.diff(target_N[order])) + 1
    given = 0
    for group, end in zip(np.split(order, cuts), [*cuts.tolist(), len(order)], strict=True):
        # So many in all as the sum of shares says, rounded down at each item.
        places = size * end // max(1, len(order)) - given
        given += places
        if places >= len(group):
            picked += group.tolist()
            continue
        lie_ND = users_ND[group]
        wanted_D = lie_ND.mean(axis=0)
        total_D, left = np.zeros_like(wanted_D), np.ones(len(group), np.bool_)
        for n in range(places):
            off_N = ((wanted_D - (total_D + lie_ND) / (n + 1)) ** 2).sum(axis=1)
            best = int(np.where(left, off_N, np.inf).argmin())
            left[best] = False
            total_D += lie_ND[best]
            picked.append(int(group[best]))
    return np.array(picked, np.int64)
