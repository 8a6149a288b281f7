"""Facts and texts as the word pieces that a language model reads.

Legend: `N` texts, `S` pieces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learner.huggingface import quietly
from learner.texts.facts import Facts, prompt
from stream.errors import SettingsError

IGNORED = -100
"""The label that PyTorch's cross-entropy passes over."""

_ASK = " | text:"
_JOINED = (
    (re.compile(r"(?<=\d)\s*([.,/])\s*(?=\d)"), r"\1"),
    (re.compile(r"(?<=\w) ([-'’]) (?=\w)"), r"\1"),
    (re.compile(r" (?=[.,:;!?])"), ""),
)
"""What decoders of word pieces leave apart."""


class Pieces:
    """How a model is asked about an item, and what it is to say.

    Parameters
    ----------
    tokenizer
        The model's, of `transformers`.
    two_sided
        Whether the model is an encoder-decoder, which reads the facts in its encoder.
    prompt, text
        So many pieces of the facts, and of a text, count.

    Attributes
    ----------
    end, filling
        The pieces that end a text, and that fill one up.
    stops, digits
        Pieces that end a sentence, and those of single digits.
    """

    def __init__(self, tokenizer: Any, *, two_sided: bool, prompt: int, text: int) -> None:
        self._tokenizer = tokenizer
        self._two_sided = two_sided
        self._prompt, self._text = prompt, text
        end = tokenizer.eos_token_id
        end = tokenizer.sep_token_id if end is None else end
        if end is None:
            msg = "`learner.texts.model`: its tokenizer has no piece that ends a text"
            raise SettingsError(msg)
        self.end = int(end)
        self.filling = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self._ask = self.of(_ASK)
        self.stops = frozenset(self.of(".")[-1:] + self.of("!")[-1:] + self.of("?")[-1:])
        self.digits = frozenset(piece for digit in "0123456789" for piece in self.of(digit))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._tokenizer)

    def of(self, text: str) -> list[int]:
        """All pieces of a text."""
        found: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def asked(self, facts: Facts) -> list[int]:
        """What a model is told of an item."""
        return self.of(prompt(facts))[: self._prompt] + self._ask

    def said(self, text: str) -> list[int]:
        """What it is to say then: a text and its end."""
        return [*self.of(text)[: self._text], self.end]

    def batch(
        self, facts: Sequence[Facts], texts: Sequence[str], device: torch.device
    ) -> tuple[dict[str, Tensor], int]:
        """What a model takes, (N, S) each, and how many pieces have to be said."""
        asked = [self.asked(one) for one in facts]
        said = [self.said(text) for text in texts]
        if self._two_sided:
            read, labels = asked, said
        else:
            read = [ask + say for ask, say in zip(asked, said, strict=True)]
            labels = [[IGNORED] * len(ask) + say for ask, say in zip(asked, said, strict=True)]
        longest = max(map(len, read), default=0)
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in read]
        given = {
            "input_ids": _padded(read, self.filling),
            "attention_mask": torch.tensor(mask),
            "labels": _padded(labels, IGNORED),
        }
        return {name: value.to(device) for name, value in given.items()}, sum(map(len, said))

    def text(self, pieces: Sequence[int]) -> str:
        """A text of its pieces."""
        text: str = self._tokenizer.decode(list(pieces), skip_special_tokens=True)
        for pattern, instead in _JOINED:
            text = pattern.sub(instead, text)
        return text.strip()

    def unknown(self) -> int | None:
        """The piece for what has none."""
        found: int | None = self._tokenizer.unk_token_id
        return found


def load_model(name: str) -> tuple[Any, Any, bool]:
    """A language model by name, its tokenizer, and whether it is an encoder-decoder.

    Only safetensors are read, and no code that comes with a model is run.

    Raises
    ------
    SettingsError
        If there is none, or only a pickle of one.
    """
    from transformers import (  # noqa: PLC0415 - only who writes texts needs them
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
    )

    if (Path(name) / "adapter_config.json").exists():
        msg = f"`learner.texts.model` is {name}: it holds an adapter; name its base"
        raise SettingsError(msg)
    try:
        with quietly():
            shape = AutoConfig.from_pretrained(name, trust_remote_code=False)
            two_sided = bool(shape.is_encoder_decoder)
            kind = AutoModelForSeq2SeqLM if two_sided else AutoModelForCausalLM
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model = kind.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        msg = (
            f"the language model {name!r} can't be loaded: {error}; `learner.texts.model` names a "
            "folder or a Hugging Face model with safetensors"
        )
        raise SettingsError(msg) from error
    return model.float(), tokenizer, two_sided


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
