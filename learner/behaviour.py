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
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.base import load_transformer, read_heads
from learner.batch import Histories
from learner.config import ModelConfig
from learner.huggingface import LlamaConfig, LlamaModel, LoraConfig, get_peft_model
from learner.last_step import Fixed, last_hidden
from stream.events import KINDS

GAP_BUCKETS = 26
"""Gaps by powers of two from a second to a year: finer is noise, coarser hides sessions."""

SESSION_S = 1_800.0
"""A user who was away for half an hour comes back with something else in mind: the usual line."""

PLACES = ("kinds", "gaps", "ratings", "hours", "weekdays", "sessions")
"""What a step says beside its item: one row of each of these tables is added to it."""

_SIZES = (len(KINDS), GAP_BUCKETS, 6, 24, 7, 2)
_STARTS = np.concatenate([[0], np.cumsum(_SIZES)[:-1]])
_DAY_S = 86_400
_EPOCH_WEEKDAY = 3
"""The first of January 1970 was a Thursday; Monday is 0."""

ITEM_SCALE = 0.5
"""Length of a new residual: below, ids are hard to tell apart; above, text is drowned."""


def make_base(config: ModelConfig, seed: int) -> LlamaModel:
    """The frozen base: pretrained from a folder, or small and seeded."""
    if config.base:
        return load_transformer(config.base)
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
        self.hours = nn.Parameter(torch.zeros(24, D))
        self.weekdays = nn.Parameter(torch.zeros(7, D))
        self.sessions = nn.Parameter(torch.zeros(2, D))
        self.gain = nn.Parameter(torch.ones(D))
        self.output_DD = nn.Parameter(torch.zeros(D, D))
        self.width = D
        self._fixed: tuple[Fixed, Tensor] | None = None
        self.heads = read_heads(config.base, text_width) if config.base else None
        with torch.no_grad():
            for name, value in self.heads.parameters.items() if self.heads else ():
                self.get_parameter(name).copy_(value)

    @property
    def pretrained(self) -> bool:
        """Whether heads and items were pretrained too: then it has something to say at once."""
        return self.heads is not None

    @torch.no_grad()
    def fix(self) -> None:
        """Say that the weights won't change any more: users are then read several times quicker."""
        self._fixed = Fixed.of(self.body, self.config.transformer_steps), self._table()

    def learnt(self) -> dict[str, nn.Parameter]:
        """The parameters that follow the stream: adapters and heads, never the base."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def first_residuals(self, item_ids: Sequence[str]) -> Tensor:
        """What newly admitted items start from: a vector that depends on the id alone.

        Ids without text would else be all the same to the model. Items that the base knows start
        from what it has learnt of them.
        """
        code_N = np.array([zlib.crc32(i.encode()) for i in item_ids], np.uint32)
        total = torch.zeros(len(item_ids), self.width)
        for byte in range(4):
            at = ((code_N >> np.uint32(8 * byte)) & np.uint32(255)).astype(np.int64)
            total += self.hash_bytes[byte, torch.from_numpy(at)]
        if self.heads is not None:
            at_N, row_N = self.heads.known(item_ids)
            total[at_N] = self.heads.vectors_ND[row_N]
        return total

    def towers(self, text_UE: Tensor, residual_UD: Tensor) -> Tensor:
        """Items as the transformer sees them, before and after it: (U, D)."""
        return text_UE @ self.project_DE.T + residual_UD

    def tokens(self, items_UD: Tensor, steps: Steps) -> Tensor:
        """The steps as the transformer reads them: item, kind, times and rating, added: (B, T, D).

        The gain lets an item that is read be louder than the same item when it is scored.

        A step knows when the next one came, or that it is now: the gap, hour and weekday are those
        of the moment for which it helps to say what follows.
        """
        B, T = steps.item_BT.shape
        if self._fixed is None:
            table_PD = self._table()
            said_NP = torch.zeros(len(steps.code_NF), len(table_PD), device=table_PD.device)
            said_ND = said_NP.scatter_(1, steps.code_NF, 1.0) @ table_PD
        else:
            said_ND = nn.functional.embedding_bag(steps.code_NF, self._fixed[1], mode="sum")
        at_N = steps.item_BT.reshape(-1)
        if len(items_UD) > len(at_N):  # a whole catalogue
            items_ND = nn.functional.embedding(at_N, items_UD) * self.gain
        else:
            items_ND = nn.functional.embedding(at_N, items_UD * self.gain)
        return (items_ND + said_ND).view(B, T, self.width)

    def _table(self) -> Tensor:
        """What a step says beside its item, a row of it for each place."""
        return torch.cat([getattr(self, name) for name in PLACES])

    def users(
        self, items_UD: Tensor, steps: Steps, noise: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Each user as a vector whose product with an item's tower scores it: (B, D).

        `noise` is what learning does to the steps before they are read.
        """
        tokens_BTD = self.tokens(items_UD, steps)
        if noise is not None:
            tokens_BTD = noise(tokens_BTD)
        fixed = None if self._fixed is None else self._fixed[0]
        last_BD = last_hidden(self.body, tokens_BTD, steps.last_B, fixed)
        out_BD: Tensor = (last_BD @ self.output_DD) * steps.known_B[:, None]
        return out_BD


class Laid(NamedTuple):
    """Histories laid out oldest first, with the time of what follows each step; -1 is padding."""

    rows_BT: NDArray[np.int32]
    kinds_BT: NDArray[np.int8]
    ts_BT: NDArray[np.int64]
    following_BT: NDArray[np.int64]
    ratings_BT: NDArray[np.float32]
    length_B: NDArray[np.int64]


def lay(past: Histories, steps: int) -> Laid:
    """The newest steps of histories, moved to the left; what follows the newest is now."""
    steps = min(steps, past.rows_BT.shape[1])
    length_B = np.minimum(past.lengths_B, steps)
    T = max(int(length_B.max(initial=1)), 1)
    place_BT = past.rows_BT.shape[1] - length_B[:, None] + np.arange(T)
    real_BT = np.arange(T) < length_B[:, None]
    place_BT = np.where(real_BT, place_BT, past.rows_BT.shape[1] - 1)
    line_B1 = np.arange(len(past))[:, None]
    ts_BT = past.ts_BT[line_B1, place_BT]
    following_BT = np.concatenate([ts_BT[:, 1:], past.now_B[:, None]], axis=1)
    following_BT[np.arange(len(past)), np.maximum(length_B - 1, 0)] = past.now_B
    return Laid(
        np.where(real_BT, past.rows_BT[line_B1, place_BT], -1),
        past.kinds_BT[line_B1, place_BT],
        ts_BT,
        following_BT,
        past.ratings_BT[line_B1, place_BT],
        length_B,
    )


class Steps:
    """Histories as the transformer reads them: oldest first, padding behind the newest step.

    A causal model never looks behind, so padding there needs no mask.
    """

    def __init__(self, past: Histories | Laid, steps: int, device: torch.device) -> None:
        laid = past if isinstance(past, Laid) else lay(past, steps)
        self.rows_BT = laid.rows_BT
        code_BTF = codes(laid.kinds_BT, laid.ts_BT, laid.following_BT, laid.ratings_BT)
        self.code_NF = torch.from_numpy(code_BTF.reshape(-1, len(PLACES))).to(device)
        self.last_B = torch.from_numpy(np.maximum(laid.length_B - 1, 0)).to(device)
        self.known_B = torch.from_numpy((laid.length_B > 0).astype(np.float32)).to(device)
        self.item_BT = torch.zeros(0)

    def index(self, rows_U: NDArray[np.int32], device: torch.device) -> None:
        """Say where each step's item is in `rows_U`, which is sorted and holds all of them."""
        at_BT = np.searchsorted(rows_U, np.maximum(self.rows_BT, 0)).clip(0, len(rows_U) - 1)
        self.item_BT = torch.from_numpy(at_BT.astype(np.int64)).to(device)


def codes(
    kinds_BT: NDArray[np.int8],
    ts_BT: NDArray[np.int64],
    following_BT: NDArray[np.int64],
    ratings_BT: NDArray[np.float32],
) -> NDArray[np.int64]:
    """What steps say beside their items, as rows of the tables `PLACES` laid end to end.

    The first step of what is read begins a session.
    """
    code_BTF = np.empty((*ts_BT.shape, len(PLACES)), np.int64)
    gap_BT = np.maximum((following_BT - ts_BT) / 1000.0, 0.0)
    moment_BT = following_BT // 1000
    code_BTF[:, :, 0] = kinds_BT
    code_BTF[:, :, 1] = np.minimum(np.log2(gap_BT + 1.0), GAP_BUCKETS - 1)
    code_BTF[:, :, 2] = np.rint(ratings_BT).clip(0, 5)
    code_BTF[:, :, 3] = moment_BT // 3_600 % 24
    code_BTF[:, :, 4] = (moment_BT // _DAY_S + _EPOCH_WEEKDAY) % 7
    code_BTF[:, :1, 5] = 1
    code_BTF[:, 1:, 5] = ts_BT[:, 1:] - ts_BT[:, :-1] >= SESSION_S * 1000
    code_BTF += _STARTS
    return code_BTF
