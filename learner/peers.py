"""What a learner asks of those that learn the same model in other processes; alone, nobody.

Every method is a meeting: all processes call the same ones in the same order, a process without
examples too. `learner.parallel` meets by `torch.distributed`.

Legend: `B` examples, `N` columns, `U` distinct rows, `D` width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Histories


class Everyone(NamedTuple):
    """The examples of all processes, and where one's own are among them."""

    past: Histories
    target_B: NDArray[np.int32]
    mine: slice


class Peers(Protocol):
    """The processes that learn one model together."""

    rank: int
    """The number of this one; the first is 0."""

    def count(self, mine: int) -> int:
        """The sum of a number over all."""

    def most(self, mine: int) -> int:
        """The largest of all."""

    def examples(self, past: Histories, target_B: NDArray[np.int32]) -> Everyone:
        """The examples of all, by the processes' numbers; codes of older items stay behind."""

    def joined(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """The columns of all, side by side: as many lines everywhere."""

    def offsets(self, mine: Mapping[int, int]) -> dict[int, int]:
        """What all have learnt, by partition."""

    def add(self, tensor: Tensor) -> None:
        """Add up a tensor over all, in place."""

    def average(self, parameters: Iterable[Tensor], mine: int) -> None:
        """Average gradients, each process weighing as much as it has examples."""

    def rows(
        self, rows_U: NDArray[np.int32], gradient_UD: Tensor, mine: int
    ) -> tuple[NDArray[np.int32], Tensor]:
        """The same for gradients of some rows of a table; the result has each row once."""


class Alone:
    """A learner without peers: every meeting is over at once, and changes no bit.

    >>> alone = Alone()
    >>> alone.count(3), alone.most(3), alone.offsets({0: 7})
    (3, 3, {0: 7})
    """

    rank = 0

    def count(self, mine: int) -> int:
        """The number itself."""
        return mine

    def most(self, mine: int) -> int:
        """The number itself."""
        return mine

    def examples(self, past: Histories, target_B: NDArray[np.int32]) -> Everyone:
        """One's own."""
        return Everyone(past, target_B, slice(0, len(target_B)))

    def joined(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """One's own."""
        return columns

    def offsets(self, mine: Mapping[int, int]) -> dict[int, int]:
        """One's own."""
        return dict(mine)

    def add(self, tensor: Tensor) -> None:
        """Nothing to add."""

    def average(self, parameters: Iterable[Tensor], mine: int) -> None:
        """Nothing to average with."""

    def rows(
        self, rows_U: NDArray[np.int32], gradient_UD: Tensor, mine: int
    ) -> tuple[NDArray[np.int32], Tensor]:
        """One's own."""
        return rows_U, gradient_UD


ALONE: Peers = Alone()
