"""The two ends: all weights follow the stream, or the items' vectors alone."""

from __future__ import annotations

from torch import nn

from learner.behaviour import Behaviour
from learner.update_rules.rule import Single

FULL_RATE = 1.0 / 3.0
"""Full weights take smaller steps than adapters: at the adapters' rate they fell apart."""


class Full(Single):
    """Full fine-tuning: the base itself and the heads; adapters stay at zero."""

    rate = FULL_RATE

    def __init__(self, model: Behaviour) -> None:
        super().__init__(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" not in name)
        self._learnt = model.learnt()


class ItemsAlone(Single):
    """Only the items' residual vectors learn; the transformer reads them as it did.

    That needs a pretrained base: a fresh one's output head is zero, and so is every gradient.
    """

    def __init__(self, model: Behaviour) -> None:
        super().__init__(model)
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    def learnt(self) -> dict[str, nn.Parameter]:
        """No weight."""
        return {}
