"""A tiny language model for one machine: made in minutes, from a shop's own texts.

Its word pieces are those of the sentence encoder's tokenizer that the texts need, so that nothing
is downloaded; its folder is an ordinary one of `transformers`.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from torch import nn

from learner.config import EncoderConfig
from learner.encoder import find_model
from learner.huggingface import LlamaConfig, quietly
from learner.texts.facts import Facts, prompt
from learner.texts.pieces import Pieces

_PAD, _UNKNOWN, _BEGIN, _END = _SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LETTERS = string.ascii_lowercase + string.digits + string.punctuation


class Tiny(NamedTuple):
    """How large it is, and how it is trained.

    Attributes
    ----------
    vocabulary
        Word pieces: more of them make the output layer slow.
    prompt, text
        Pieces of facts and of a text that are read.
    """

    vocabulary: int = 4_096
    width: int = 128
    layers: int = 2
    prompt: int = 32
    text: int = 64
    passes: int = 1
    batch: int = 8
    rate: float = 2e-3


def word_pieces(texts: Sequence[str], pieces: int, encoder: str = "") -> Tokenizer:
    """The encoder's word pieces that are frequent in some texts, and every single letter."""
    folder = Path(find_model(encoder or EncoderConfig().model))
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole.no_truncation()
    whole.no_padding()
    count: Counter[str] = Counter()
    for start in range(0, len(texts), 1_000):
        part = list(texts[start : start + 1_000])
        for found in whole.encode_batch(part, add_special_tokens=False):
            count.update(found.tokens)
    kept = [*_SPECIAL, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    often = (piece for piece, _ in sorted(count.items(), key=lambda pair: (-pair[1], pair[0])))
    kept = list(dict.fromkeys([*kept, *often]))[:pieces]
    tokenizer = Tokenizer(
        WordPiece({piece: number for number, piece in enumerate(kept)}, unk_token=_UNKNOWN)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    return tokenizer


def make_tiny(
    facts: Sequence[Facts],
    texts: Sequence[str],
    folder: Path,
    *,
    shape: Tiny | None = None,
    seed: int = 0,
    tell: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train a Llama of a few layers on texts and the facts of their items, into a folder.

    Parameters
    ----------
    tell
        Is told of each step: its number, how many there are, and nats per piece.
    """
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: PLC0415

    shape = shape or Tiny()
    kept = word_pieces([*texts, *map(prompt, facts)], shape.vocabulary)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=kept, bos_token=_BEGIN, eos_token=_END, pad_token=_PAD, unk_token=_UNKNOWN
    )
    heads = max(1, shape.width // 32)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=2 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    pieces = Pieces(tokenizer, two_sided=False, prompt=shape.prompt, text=shape.text)
    _train(model, pieces, facts, texts, shape=shape, seed=seed, tell=tell)
    with quietly():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _train(
    model: Any,
    pieces: Pieces,
    facts: Sequence[Facts],
    texts: Sequence[str],
    *,
    shape: Tiny,
    seed: int,
    tell: Callable[[int, int, float], None] | None,
) -> None:
    """Train all weights, the step size falling to zero along half a cosine."""
    optim = torch.optim.AdamW(model.parameters(), lr=shape.rate, weight_decay=0.01)
    steps = max(1, shape.passes * (len(texts) // shape.batch))
    draws = np.random.default_rng(seed)
    model.train()
    order = np.empty(0, np.int64)
    for step in range(steps):
        if len(order) < shape.batch:
            order = draws.permutation(len(texts))
        rows, order = order[: shape.batch], order[shape.batch :]
        given, _ = pieces.batch(
            [facts[row] for row in rows], [texts[row] for row in rows], torch.device("cpu")
        )
        loss = model(**given).loss
        for group in optim.param_groups:
            group["lr"] = shape.rate * min(1.0, (step + 1) / 20) * _falling(step / steps)
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        if tell is not None:
            tell(step + 1, steps, float(loss.detach()))
    model.eval()


def _falling(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))
