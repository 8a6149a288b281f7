"""Adam with decoupled decay for whole tables: few passes over memory, state by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from learner.optim import Moments

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


class DenseAdam(Moments):
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) over named tensors.

    Parameters
    ----------
    parameters
        What is learnt.
    decay
        How much of the step size each value loses per step.

    Examples
    --------
    >>> weight = torch.ones(1, requires_grad=True)
    >>> adam = DenseAdam({"weight": weight})
    >>> (3 * weight).sum().backward()
    >>> adam.step(0.1)
    >>> round(weight.item(), 4)
    0.9
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float = 0.0) -> None:
        super().__init__(parameters)
        self.decay = decay

    @torch.no_grad()
    def clip(self, norm: float) -> None:
        """Scale all gradients down so that together they are no longer than this."""
        grads = [p.grad for p in self.parameters.values() if p.grad is not None]
        total = torch.stack([torch.linalg.vector_norm(g) for g in grads]).square().sum().sqrt()
        if float(total) > norm:
            for grad in grads:
                grad.mul_(norm / total)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Apply and clear the gradients."""
        self.steps += 1
        fix = (1 - _BETA2**self.steps) ** 0.5
        scale = rate * fix / (1 - _BETA1**self.steps)
        for name, parameter in self.parameters.items():
            grad = parameter.grad
            if grad is None:
                continue
            mean = self._mean[name].lerp_(grad, 1 - _BETA1)
            square = self._square[name].mul_(_BETA2).addcmul_(grad, grad, value=1 - _BETA2)
            if self.decay:
                parameter.mul_(1 - rate * self.decay)
            torch.sqrt(square, out=grad)
            parameter.addcdiv_(mean, grad.add_(_EPS * fix), value=-scale)
            parameter.grad = None

    def squares(self, name: str) -> Tensor:
        """What Adagrad would have summed of late: the squared gradients of a thousand steps."""
        return self._square[name] / (1 - _BETA2)
