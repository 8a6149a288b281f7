"""Adam, written out: its moments are a handful of named tensors, and a snapshot keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_BETA1, _BETA2, _EPS = 0.9, 0.99, 1e-8
"""The second moment forgets ten times sooner than usual: a stream's gradients change."""


class Moments:
    """Running means of the gradients of named tensors, and of their squares."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        self.steps = 0
        self._mean = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self._square = {name: torch.zeros_like(p) for name, p in self.parameters.items()}

    def state(self) -> dict[str, Tensor]:
        """What a snapshot keeps."""
        kept = {"steps": torch.tensor([self.steps])}
        kept |= {f"mean.{name}": value for name, value in self._mean.items()}
        kept |= {f"square.{name}": value for name, value in self._square.items()}
        return kept

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take a snapshot."""
        self.steps = int(state["steps"][0])
        for name in self.parameters:
            self._mean[name].copy_(state[f"mean.{name}"])
            self._square[name].copy_(state[f"square.{name}"])


class Adam(Moments):
    """Adam (Kingma & Ba 2015, algorithm 1) over named tensors with a step size each.

    A step size may be a tensor that broadcasts over its parameter.

    Examples
    --------
    >>> weight = torch.ones(1, requires_grad=True)
    >>> adam = Adam({"weight": weight}, {"weight": 0.1})
    >>> (3 * weight).sum().backward()
    >>> adam.step()
    >>> round(weight.item(), 4)
    0.9
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], rates: Mapping[str, float | Tensor]
    ) -> None:
        super().__init__(parameters)
        self.rates = dict(rates)

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Apply and clear the gradients; `factor` scales every step size."""
        self.steps += 1
        fix = (1 - _BETA2**self.steps) ** 0.5 / (1 - _BETA1**self.steps)
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            if gradient is None:
                continue
            mean = self._mean[name].lerp_(gradient, 1 - _BETA1)
            square = self._square[name].lerp_(gradient.square(), 1 - _BETA2)
            parameter.sub_(factor * fix * self.rates[name] * mean / (square.sqrt() + _EPS))
            parameter.grad = None

    def forget(self, names: Iterable[str]) -> None:
        """Let parameters that were started anew not inherit the moments of what they were."""
        for name in names:
            self._mean[name].zero_()
            self._square[name].zero_()
