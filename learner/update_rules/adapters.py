"""A new adapter for each block, over what the blocks before have left in the base.

Legend: `R` rank of the adapter, `P` width that goes in, `Q` width that comes out.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from learner.behaviour import Behaviour
from learner.update_rules.rule import Single, Student


@torch.no_grad()
def consolidate(model: Behaviour, share: float, seed: int) -> tuple[str, ...]:
    """Merge a share of the adapter into the base, and start the adapter anew.

    With a share of 1 the model says what it said before. A snapshot holds the base too, so that
    what was merged is restored bit by bit.

    Returns
    -------
    names
        The adapter's weights.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in model.body.modules():
        if not hasattr(layer, "lora_A"):
            continue
        layer.base_layer.weight += share * layer.get_delta_weight("default")
        down_RP, up_QR = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        # As peft starts it: Kaiming with a = sqrt(5), which is uniform within 1 / sqrt(P).
        fresh_RP = torch.empty(down_RP.shape)
        nn.init.kaiming_uniform_(fresh_RP, a=math.sqrt(5), generator=generator)
        down_RP.copy_(fresh_RP)
        up_QR.zero_()
    return tuple(name for name in model.learnt() if "lora_" in name)


class Cumulative(Single):
    """An adapter per block, all summed, of which only the newest learns (SumLoRA, O-LoRA's frame).

    A sum of frozen adapters is one matrix: it is kept in the base.
    """

    share = 1.0

    def begin_block(self, student: Student, block: int) -> tuple[str, ...]:
        """The last block's adapter is frozen; another one begins at zero."""
        return consolidate(student.model, self.share, student.seed * 1_000_003 + block)


class TwoSpeeds(Cumulative):
    """A slow adapter under a quick one: long and short term (LSAT, arXiv 2312.15599).

    The quick one begins anew with each block, as there. The slow one, which LSAT trains again on
    the whole history now and then, takes over half of what the quick one has learnt: a stream
    keeps no history. Both speak when something is scored, fused by sum (section 4.3 there).
    """

    share = 0.5
