"""The behaviour transformer: what a user did, in order, turned into what comes next.

Legend: `B` users, `T` past steps, `D` width, `E` width of text vectors, `I` catalogue rows, `U`
distinct rows in a batch, `C` scored items.

The base is a causal transformer from `transformers`, fed by `inputs_embeds` and frozen; what
follows the stream are its low-rank adapters (LoRA, arXiv 2106.09685, through `peft`), the small
heads, and a residual vector per item. The output head starts at zero, so that an untrained model
scores every item 0 and corrects nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.batch import Histories
from learner.config import ModelConfig
from learner.huggingface import LlamaConfig, LlamaModel, LoraConfig, get_peft_model
from stream.events import KINDS

GAP_BUCKETS = 26
"""Gaps by powers of two from a second to a year: finer is noise, coarser hides sessions."""

ITEM_SCALE = 0.5
"""Length of a new residual: below, ids are hard to tell apart; above, text is drowned."""


def make_base(config: ModelConfig, seed: int) -> LlamaModel:
    """The frozen base: pretrained from a folder, or small and seeded."""
    if config.base:
        return LlamaModel.from_pretrained(config.base, use_safetensors=True)
    shape = LlamaConfig(
        vocab_size=1,
        hidden_size=config.width,
        intermediate_size=2 * config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=max(64, config.transformer_steps),
        initializer_range=config.width**-0.5,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaModel(shape)


class Behaviour(nn.Module):
    """The transformer, its adapters, its heads, and the item tower.

    Parameters
    ----------
    config
        Shapes.
    text_width
        Width of the catalogue's text vectors.
    seed
        Everything random follows from it.
    """

    def __init__(self, config: ModelConfig, text_width: int, seed: int) -> None:
        super().__init__()
        self.config = config
        base = make_base(config, seed)
        D = base.config.hidden_size
        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=2 * config.lora_rank,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = get_peft_model(base, lora)
            self.project_DE = nn.Parameter(torch.randn(D, text_width) * D**-0.5)
            self.kinds = nn.Parameter(torch.randn(len(KINDS), D) * 0.1)
            self.gaps = nn.Parameter(torch.randn(GAP_BUCKETS, D) * 0.1)
            self.ratings = nn.Parameter(torch.randn(6, D) * 0.1)
            self.hash_bytes = torch.randn(4, 256, D) * (ITEM_SCALE / (2 * D**0.5))
        self.output_DD = nn.Parameter(torch.zeros(D, D))
        self.width = D

    def learnt(self) -> dict[str, nn.Parameter]:
        """The parameters that follow the stream: adapters and heads, never the base."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def first_residuals(self, item_ids: Sequence[str]) -> Tensor:
        """What newly admitted items start from: a vector that depends on the id alone.

        Ids without text would else be all the same to the model.
        """
        code_N = np.array([zlib.crc32(i.encode()) for i in item_ids], np.uint32)
        total = torch.zeros(len(item_ids), self.width)
        for byte in range(4):
            at = ((code_N >> np.uint32(8 * byte)) & np.uint32(255)).astype(np.int64)
            total += self.hash_bytes[byte, torch.from_numpy(at)]
        return total

    def towers(self, text_UE: Tensor, residual_UD: Tensor) -> Tensor:
        """Items as the transformer sees them, before and after it: (U, D)."""
        return text_UE @ self.project_DE.T + residual_UD

    def users(self, items_UD: Tensor, steps: Steps) -> Tensor:
        """Each user as a vector whose product with an item's tower scores it: (B, D)."""
        tokens_BTD = (
            items_UD[steps.item_BT]
            + self.kinds[steps.kind_BT]
            + self.gaps[steps.gap_BT]
            + self.ratings[steps.rating_BT]
        )
        hidden_BTD = self.body(inputs_embeds=tokens_BTD, use_cache=False).last_hidden_state
        line_B = torch.arange(len(hidden_BTD), device=hidden_BTD.device)
        last_BD = hidden_BTD[line_B, steps.last_B]
        out_BD: Tensor = (last_BD @ self.output_DD) * steps.known_B[:, None]
        return out_BD


class Steps:
    """Histories as the transformer reads them: oldest first, padding behind the newest step.

    A causal model never looks behind, so padding there needs no mask.
    """

    def __init__(self, past: Histories, steps: int, device: torch.device) -> None:
        steps = min(steps, past.rows_BT.shape[1])
        length_B = np.minimum(past.lengths_B, steps)
        T = max(int(length_B.max(initial=1)), 1)
        place_BT = past.rows_BT.shape[1] - length_B[:, None] + np.arange(T)
        real_BT = np.arange(T) < length_B[:, None]
        place_BT = np.where(real_BT, place_BT, past.rows_BT.shape[1] - 1)
        take = np.take_along_axis
        self.rows_BT: NDArray[np.int32] = np.where(real_BT, take(past.rows_BT, place_BT, 1), -1)
        ts_BT = take(past.ts_BT, place_BT, 1)
        following_BT = np.concatenate([ts_BT[:, 1:], past.now_B[:, None]], axis=1)
        last_B = np.maximum(length_B - 1, 0)
        following_BT[np.arange(len(past)), last_B] = past.now_B
        gap_BT = np.maximum((following_BT - ts_BT) / 1000.0, 0.0)
        gap_BT = np.minimum(np.log2(gap_BT + 1.0), GAP_BUCKETS - 1).astype(np.int64)
        rating_BT = np.rint(take(past.ratings_BT, place_BT, 1)).clip(0, 5).astype(np.int64)

        def put(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        self.kind_BT = put(take(past.kinds_BT, place_BT, 1).astype(np.int64))
        self.gap_BT = put(np.where(real_BT, gap_BT, 0))
        self.rating_BT = put(rating_BT)
        self.last_B = put(last_B)
        self.known_B = put((length_B > 0).astype(np.float32))
        self.item_BT = torch.zeros(0)

    def index(self, rows_U: NDArray[np.int32], device: torch.device) -> None:
        """Say where each step's item is in `rows_U`, which is sorted and holds all of them."""
        at_BT = np.searchsorted(rows_U, np.maximum(self.rows_BT, 0)).clip(0, len(rows_U) - 1)
        self.item_BT = torch.from_numpy(at_BT.astype(np.int64)).to(device)
