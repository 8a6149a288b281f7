"""One model learnt by several processes, each of which has partitions of the examples of its own.

What is dear is shared out: ranking, describing candidates, and the steps' forward and backward
passes are done by each process for its own examples. What is cheap is done by all for all:

| what | how it is kept equal |
|---|---|
| adapters, heads, nets | gradients are averaged before each step, by the number of examples |
| items' residual vectors | gradients of the rows in play are gathered and added |
| learnt weights and their curvature | sums of slopes and curvature are added before each step |
| weighing of the arms, drift signals | losses are gathered; every process sees all of them |
| popularity, pairs, returns, trust | examples are gathered; every process counts all of them |
| replay, waiting examples | each process has its own |

So a micro-batch of all processes is what one process does with a micro-batch as large, but for
rounding and for what is drawn; weights and counts are the same everywhere, bit by bit, because all
take the same steps from the same sums. The processes go in step: the slowest one sets the pace.
Rows of the catalogue have to mean the same everywhere, so that all must take its changes between
the same two calls.

Legend: `B` examples, `U` distinct rows, `D` width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import Tensor

from learner.batch import Histories, joined
from learner.peers import Everyone

_HISTORY = ("rows_BT", "kinds_BT", "ts_BT", "ratings_BT", "now_B", "events_B", "doing_B")


class Group:
    """The processes of `torch.distributed`'s default group; it has to be initialised.

    Nothing is pickled: arrays travel as safetensors.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def count(self, mine: int) -> int:
        """The sum of a number over all."""
        number = torch.tensor([mine])
        dist.all_reduce(number)
        return int(number)

    def most(self, mine: int) -> int:
        """The largest of all."""
        number = torch.tensor([mine])
        dist.all_reduce(number, dist.ReduceOp.MAX)
        return int(number)

    def examples(self, past: Histories, target_B: NDArray[np.int32]) -> Everyone:
        """The examples of all, by the processes' numbers."""
        mine = {name: getattr(past, name) for name in _HISTORY} | {"target_B": target_B}
        parts = self._gathered(mine)
        pasts = [_histories(part) for part in parts]
        start = sum(len(one) for one in pasts[: self.rank])
        return Everyone(
            joined(pasts),
            np.concatenate([part["target_B"] for part in parts]),
            slice(start, start + len(past)),
        )

    def joined(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """The columns of all, side by side."""
        parts = self._gathered({"columns": columns})
        return np.concatenate([part["columns"] for part in parts], axis=1)

    def offsets(self, mine: Mapping[int, int]) -> dict[int, int]:
        """What all have learnt, by partition; the largest where several say something."""
        pairs = np.array(sorted(mine.items()), np.int64).reshape(-1, 2)
        merged: dict[int, int] = {}
        for part in self._gathered({"pairs": pairs}):
            for partition, offset in part["pairs"].tolist():
                merged[partition] = max(offset, merged.get(partition, 0))
        return merged

    def add(self, tensor: Tensor) -> None:
        """Add up a tensor over all, in place."""
        dist.all_reduce(tensor)

    def average(self, parameters: Iterable[Tensor], mine: int) -> None:
        """Average gradients; they travel as one flat tensor."""
        learnt = list(parameters)
        if not learnt:
            return
        share = mine / max(self.count(mine), 1)
        flat = torch.cat([_gradient(p).flatten() for p in learnt]) * share
        dist.all_reduce(flat)
        for parameter, part in zip(
            learnt, torch.split(flat, [p.numel() for p in learnt]), strict=True
        ):
            parameter.grad = part.view_as(parameter).clone()

    def rows(
        self, rows_U: NDArray[np.int32], gradient_UD: Tensor, mine: int
    ) -> tuple[NDArray[np.int32], Tensor]:
        """Gradients of rows that some process has: weighed, and added where several have one."""
        share = mine / max(self.count(mine), 1)
        parts = self._gathered({"rows": rows_U, "gradient": (gradient_UD * share).numpy()})
        rows_N = np.concatenate([part["rows"] for part in parts])
        distinct_U, at_N = np.unique(rows_N, return_inverse=True)
        total_UD = torch.zeros(len(distinct_U), gradient_UD.shape[1])
        gradient_ND = torch.from_numpy(np.concatenate([part["gradient"] for part in parts]))
        total_UD.index_add_(0, torch.from_numpy(at_N), gradient_ND)
        return distinct_U, total_UD

    def _gathered(self, mine: Mapping[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
        data = save({name: np.ascontiguousarray(array) for name, array in mine.items()})
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(data)]))
        most = max(int(size) for size in sizes)
        padded = torch.zeros(most, dtype=torch.uint8)
        padded[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        parts = [torch.zeros(most, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return [
            load(part[: int(size)].numpy().tobytes())
            for part, size in zip(parts, sizes, strict=True)
        ]


def _histories(part: Mapping[str, Any]) -> Histories:
    return Histories(**{name: part[name] for name in _HISTORY})


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
