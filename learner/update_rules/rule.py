"""What a rule of updating is asked: before a block of the stream, and at each of its steps.

A block is what is learnt between two consolidations: an increment of a log, or so many examples of
a stream.

Legend: `B` examples, `C` scored items, `D` width, `I` rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.batch import Histories
from learner.behaviour import Behaviour
from learner.tower import Residuals


@dataclass(frozen=True, slots=True)
class Student:
    """What is taught: the transformer, and the vectors of its items."""

    model: Behaviour
    residuals: Residuals
    text_IE: Tensor | None
    """The catalogue's text vectors now, or none where nothing has a text."""
    seed: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A step's forward pass, as a rule sees it."""

    cross_entropy: Tensor
    """Of the targets among the scored items, the mean."""
    logits_BC: Tensor
    """Corrected for how often each item is scored: a softmax of them stands for one over all."""
    offset_BC: Tensor
    """That correction, and the log-popularity; an example's own target is there in any case."""
    past: Histories
    columns_C: NDArray[np.int64]
    replayed: bool
    """Whether these examples were learnt before."""
    text_IE: Tensor | None


class UpdateRule(Protocol):
    """A way to follow the stream."""

    rate: float
    """The optimiser's step size is multiplied by this."""
    dropout: float
    """The share of what a step reads that is left out while learning."""

    def learnt(self) -> dict[str, nn.Parameter]:
        """The weights that learn."""

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """Consolidate what the last block taught, remember what has to be remembered.

        Returns the names of the weights that were started anew.
        """

    def loss(self, attempt: Attempt) -> Tensor:
        """What a step goes down: the cross-entropy, and what holds the model."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps, beside the weights."""

    def restore(
        self,
        student: Student,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""


class Single:
    """One adapter, the heads and the items' vectors, tuned on and on: nothing holds them.

    Examples
    --------
    >>> from learner.config import ModelConfig
    >>> model = Behaviour(ModelConfig(width=8, heads=1, layers=1), text_width=4, seed=0)
    >>> sorted({name.split(".")[-3] for name in Single(model).learnt() if "." in name})
    ['lora_A', 'lora_B']
    """

    rate = 1.0
    dropout = 0.0

    def __init__(self, model: Behaviour) -> None:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name or "." not in name)
        self._learnt = model.learnt()

    def learnt(self) -> dict[str, nn.Parameter]:
        """Adapter and heads."""
        return self._learnt

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """Nothing happens: the adapter goes on."""
        return ()

    def loss(self, attempt: Attempt) -> Tensor:
        """The cross-entropy alone."""
        return attempt.cross_entropy

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Nothing beside the weights."""
        return {}

    def restore(
        self,
        student: Student,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
    ) -> None:
        """Nothing beside the weights."""
