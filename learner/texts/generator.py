"""A language model that words an item's facts, and learns from reviews: only its adapter moves.

A causal model reads the facts and then the text; an encoder-decoder reads the facts in its encoder.
The adapter is a low-rank one (LoRA, arXiv 2106.09685, through `peft`) on every linear layer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import nn

from learner.device import pick_device
from learner.huggingface import LoraConfig, get_peft_model
from learner.optim_torch import restore, saved
from learner.texts.config import TextsConfig
from learner.texts.drafts import Drawer, allowed
from learner.texts.facts import Facts
from learner.texts.pieces import Pieces, load_model
from stream.errors import SettingsError

_ADAM = "adam."
"""What the names of moments begin with, in adapters' files."""


class Nll(NamedTuple):
    """What texts cost a model, in nats, and how many word pieces they are, ends included."""

    nats: float
    pieces: int


class Generator:
    """A base by name, frozen, and an adapter that learns.

    Parameters
    ----------
    config
        Which model, and how it learns.
    seed
        Two generators with one seed learn and write alike.

    Raises
    ------
    SettingsError
        If the model, or its adapter, can't be loaded without a pickle or code of its own.
    """

    def __init__(self, config: TextsConfig, seed: int = 0) -> None:
        self.config = config
        self.device = pick_device(config.device)
        base, tokenizer, two_sided = load_model(config.model)
        self.pieces = Pieces(
            tokenizer, two_sided=two_sided, prompt=config.prompt, text=config.pieces
        )
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=2 * config.rank,
            lora_dropout=config.dropout,
            target_modules=_linear_layers(base),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._model = get_peft_model(base, lora).to(self.device)
        self._model.eval()
        self._drawer = Drawer(self._model, self.pieces, two_sided, config.pieces, seed)
        self._learnt: dict[str, nn.Parameter] = {
            name: value for name, value in self._model.named_parameters() if value.requires_grad
        }
        self._optim = torch.optim.AdamW(
            self._learnt.values(), lr=config.rate, weight_decay=config.decay
        )
        if config.adapter:
            self.load(_read(config.adapter))

    @torch.no_grad()
    def nll(self, facts: Sequence[Facts], texts: Sequence[str]) -> Nll:
        """What texts cost, given the facts of their items."""
        given, pieces = self.pieces.batch(facts, texts, self.device)
        return Nll(float(self._model(**given).loss) * pieces, pieces)

    def learn(self, facts: Sequence[Facts], texts: Sequence[str]) -> Nll:
        """Take one step of the adapter on some texts; returns what they cost before it."""
        given, pieces = self.pieces.batch(facts, texts, self.device)
        self._model.train()
        try:
            loss = self._model(**given).loss
            self._optim.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._learnt.values(), 1.0)
            self._optim.step()
        finally:
            self._model.eval()
        return Nll(float(loss.detach()) * pieces, pieces)

    @contextlib.contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Speak as the base does."""
        with self._model.disable_adapter():
            yield

    @torch.no_grad()
    def write(self, facts: Sequence[Facts], drafts: int, *, held: bool = True) -> list[list[str]]:
        """Drafts for each item: the likeliest pieces first, then drawn ones.

        Parameters
        ----------
        held
            Only pieces of the facts' words, and of words that claim nothing.
        """
        written = []
        for one in facts:
            allowed_V = allowed(one, self.config.language, self.pieces) if held else None
            rows = self._drawer.draw(self.pieces.asked(one), drafts, allowed_V)
            written.append(list(dict.fromkeys(map(self.pieces.text, rows))))
        return written

    def state(self) -> dict[str, NDArray[Any]]:
        """The adapter, and the optimiser's memory, as named arrays."""
        return saved(self._learnt, self._optim, _ADAM)

    def save(self, path: Path) -> None:
        """Write the state to a file that `learner.texts.adapter` can name; whole or not at all."""
        from safetensors.numpy import save_file  # noqa: PLC0415

        aside = path.with_name(f".{path.name}.{os.getpid()}")
        save_file(self.state(), aside)
        aside.replace(path)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such arrays."""
        for name, value in self._learnt.items():
            if name not in arrays or arrays[name].shape != tuple(value.shape):
                msg = f"`learner.texts`: no {name} of shape {tuple(value.shape)} in the adapter"
                raise SettingsError(msg)
        restore(self._learnt, self._optim, arrays, _ADAM)


def _linear_layers(model: Any) -> list[str]:
    """Every linear layer; the output layer too, unless it is the embedding as well."""
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415 - GPT-2's linear layer

    head = model.get_output_embeddings()
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and not (tied and layer is head)
    ]


def _read(path: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        msg = f"`learner.texts.adapter` is {path}: it can't be read ({error})"
        raise SettingsError(msg) from error
