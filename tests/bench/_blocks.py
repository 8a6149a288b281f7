"""A log in blocks, for models that are taught block by block: order only, no times, no texts.

Legend: `N` examples, `B` of a batch, `T` past steps, `I` items, `D` width. Item rows count in the
order in which blocks bring them, so that what is known after a block is a prefix of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from learner.batch import Histories, joined
from learner.sequences import Sequences, lay_out

NOW_MS = 1_700_000_000_000
"""The one moment at which everything happens."""

Part = Literal["all", "learnt", "last"]


@dataclass(frozen=True, slots=True)
class Examples:
    """Targets, each with what its user had before."""

    past: Histories
    target_N: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.target_N)

    def take(self, at: NDArray[np.int64] | slice) -> Examples:
        return Examples(self.past.take(at), self.target_N[at])

    def without(self, known: int) -> Examples:
        """The same, without the steps at items that are not known yet."""
        rows_NT = self.past.rows_BT
        kept_NT = (rows_NT >= 0) & (rows_NT < known)
        order_NT = np.argsort(kept_NT, axis=1, kind="stable")
        rows_NT = np.take_along_axis(np.where(kept_NT, rows_NT, -1), order_NT, axis=1)
        return Examples(replace(self.past, rows_BT=rows_NT), self.target_N)

    def __add__(self, other: Examples) -> Examples:
        past = joined([self.past, other.past])
        return Examples(past, np.concatenate([self.target_N, other.target_N]))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Sequences of rows, oldest first, and the block of each event."""

    rows: list[NDArray[np.int32]]
    block: list[NDArray[np.int8]]
    known: tuple[int, ...]
    """How many items the blocks up to each have brought."""

    def __len__(self) -> int:
        return len(self.known)

    def events(self, block: int, part: Part = "all") -> list[tuple[NDArray[np.int32], int, int]]:
        """Sequences that a block goes on with: all rows, and from where to where it does.

        `last` is each user's last event; `learnt` is all but the last two, of users with three or
        more: the last but one is for choosing when to stop, which nobody here does.
        """
        found = []
        for rows, at in zip(self.rows, self.block, strict=True):
            start, stop = np.searchsorted(at, [block, block + 1])
            if stop > start and (part == "all" or stop - start > 2):
                if part == "learnt":
                    stop -= 2
                elif part == "last":
                    start = stop - 1
                found.append((rows, int(start), int(stop)))
        return found

    def sequences(self, later: int, generator: np.random.Generator) -> Sequences:
        """Block 0 as pretraining reads it; the last events of some users are a little later."""
        found = [rows[:stop] for rows, _, stop in self.events(0)]
        ts = [np.full(len(rows), NOW_MS) for rows in found]
        for user in generator.choice(len(found), min(later, len(found)), replace=False).tolist():
            ts[user][-1] += 1
        users = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
        return lay_out(users, np.concatenate(found), np.concatenate(ts))

    def examples(self, block: int, steps: int, part: Part = "all") -> Examples:
        """The events that have a past, each with it."""
        pasts, targets = [], []
        for rows, start, stop in self.events(block, part):
            for n in range(max(start, 1), stop):
                pasts.append(rows[max(0, n - steps) : n])
                targets.append(rows[n])
        return laid_out(pasts, np.array(targets, np.int32), steps)


def laid_out(
    pasts: Sequence[NDArray[np.int32]], target_N: NDArray[np.int32], steps: int
) -> Examples:
    N = len(pasts)
    rows_NT = np.full((N, steps), -1, np.int32)
    for n, rows in enumerate(pasts):
        if len(rows):
            rows_NT[n, -len(rows) :] = rows
    past = Histories(
        rows_NT,
        np.zeros((N, steps), np.int8),
        np.full((N, steps), NOW_MS, np.int64),
        np.zeros((N, steps), np.float32),
        np.full(N, NOW_MS, np.int64),
        np.array([len(rows) for rows in pasts], np.int32),
    )
    return Examples(past, target_N)


def read_blocks(path: Path) -> Blocks:
    """A file with the columns seq_id, pos, item_id and block."""
    table = parquet.read_table(path)
    columns = [table[name].to_numpy() for name in ("seq_id", "pos", "item_id", "block")]
    order = np.lexsort((columns[1], columns[0]))
    seq, _, item, block = (column[order] for column in columns)
    return cut_blocks(seq, item, block)


def cut_blocks(seq: NDArray[np.int64], item: NDArray[np.int64], block: NDArray[np.int64]) -> Blocks:
    """Events sorted by sequence, and by time within it."""
    first: dict[int, int] = {}
    known = []
    for b in range(int(block.max()) + 1):
        for one in item[block == b].tolist():
            first.setdefault(one, len(first))
        known.append(len(first))
    rows = np.array([first[one] for one in item.tolist()], np.int32)
    cuts = np.flatnonzero(np.diff(seq)) + 1
    return Blocks(np.split(rows, cuts), np.split(block.astype(np.int8), cuts), tuple(known))


def toy_blocks(seed: int = 0, habits: int = 12, users: int = 120) -> Blocks:
    """Habits `a -> b` in blocks 0, 2 and 4; others, of other items, in blocks 1 and 3.

    Who only follows the newest block has forgotten the habits by the time that they are back.
    """
    random = np.random.default_rng(seed)
    seq, item, block = [], [], []
    for b in range(5):
        for user in range(users * (3 if b == 0 else 1)):
            start = 2 * habits * (b % 2)
            for pick in random.integers(0, habits, 3).tolist():
                seq += [b * 10_000 + user] * 2
                item += [start + 2 * pick, start + 2 * pick + 1]
                block += [b] * 2
    return cut_blocks(np.array(seq), np.array(item), np.array(block))
