"""PyTorch's AdamW and the parameters that it moves, as named arrays, and back.

Where a library's modules are learnt (`peft`), PyTorch's optimiser learns them; the learner's own
tables have `learner.optim`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def saved(
    learnt: Mapping[str, Tensor], adam: torch.optim.Optimizer, start: str = ""
) -> dict[str, NDArray[Any]]:
    """Copies of parameters and of their moments; the latter's names begin with `start`."""
    kept = {name: value.detach().cpu().numpy().copy() for name, value in learnt.items()}
    for name, value in learnt.items():
        for moment, held in adam.state.get(value, {}).items():
            kept[f"{start}{moment}.{name}"] = held.cpu().numpy().copy()
    return kept


@torch.no_grad()
def restore(
    learnt: Mapping[str, Tensor],
    adam: torch.optim.Optimizer,
    arrays: Mapping[str, NDArray[Any]],
    start: str = "",
) -> None:
    """Take what `saved` gave; without moments, the steps begin anew.

    >>> weight = torch.ones(2, requires_grad=True)
    >>> adam = torch.optim.AdamW([weight], lr=0.1)
    >>> weight.sum().backward()
    >>> adam.step()
    >>> kept = saved({"weight": weight}, adam)
    >>> other = torch.zeros(2, requires_grad=True)
    >>> again = torch.optim.AdamW([other], lr=0.1)
    >>> restore({"weight": other}, again, kept)
    >>> bool(other.equal(weight)), sorted(again.state[other])
    (True, ['exp_avg', 'exp_avg_sq', 'step'])
    """
    for name, value in learnt.items():
        value.copy_(torch.from_numpy(np.array(arrays[name])))
        moments = {
            moment: torch.from_numpy(np.array(arrays[f"{start}{moment}.{name}"]))
            for moment in _MOMENTS
            if f"{start}{moment}.{name}" in arrays
        }
        if moments:  # the count of steps stays where PyTorch has it
            adam.state[value] = {
                moment: held if moment == "step" else held.to(value.device)
                for moment, held in moments.items()
            }
