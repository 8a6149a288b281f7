"""The frozen sentence encoder, and n-grams beside it: texts in, L2-normalised vectors out.

Legend: `N` texts, `S` tokens, `E` width.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.answers.likeness import Tokens
from learner.config import EncoderConfig
from learner.device import pick_device
from learner.huggingface import quiet_auto_classes
from learner.ngram_vectors import joined, ngram_vectors
from stream.errors import SettingsError

CHARACTER, WORD_PIECE = 1.2, 3.0
"""Letters of a piece where an encoder sees single characters, and where it sees words: MiniLM's
have 4 in English titles, 3 in German ones, 1 in Chinese."""


MUCH, FEW = 1.25, 8
"""A text joins a batch if it is longer than the batch's first by no more than a quarter and a few:
32 reviews in one batch are 2.4 times as long with their padding as without."""

NO_TOKENS = Tokens(np.zeros((0, 2), np.int32), np.zeros((0, 0), np.float16))
"""Of a text that nobody encodes."""


def find_model(name: str) -> str:
    """Where an encoder is: a folder, the `model` folder of an installed package, or a hub name.

    A package's folder is found without importing the package.
    """
    if Path(name).is_dir():
        return name
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "model"
        if folder.is_dir():
            return str(folder)
    return name


def load_encoder(name: str) -> tuple[Any, Any]:
    """The tokenizer and the model of an encoder: safetensors only, and no code of its own.

    Raises
    ------
    OSError, ValueError
        If it can't be loaded.
    """
    where = find_model(name)
    make_model, make_tokenizer = quiet_auto_classes()
    tokenizer = make_tokenizer(where, trust_remote_code=False)
    return tokenizer, make_model(where, use_safetensors=True, trust_remote_code=False)


def by_length(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Places in batches of similar length, so that padding stays short; the shortest first.

    >>> list(by_length([5, 1, 4, 2], 2)), list(by_length([90, 30, 92, 30], 4))
    ([[1, 3], [2, 0]], [[1, 3], [0, 2]])
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    start = 0
    for end in range(1, len(order) + 1):
        longest = MUCH * lengths[order[start]] + FEW
        if end == len(order) or end - start == batch or lengths[order[end]] > longest:
            yield order[start:end]
            start = end


def mean_over(hidden_NSE: Tensor, real_NS: Tensor) -> Tensor:
    """The mean over real tokens, (N, E)."""
    real_NS1 = real_NS[:, :, None].to(hidden_NSE.dtype)
    return (hidden_NSE * real_NS1).sum(dim=1) / real_NS1.sum(dim=1)


class TextEncoder:
    """A sentence encoder from `transformers`: mean over tokens, length 1, float16.

    Hashed n-grams are added to it (`learner.ngram_vectors`): a little where the encoder reads a
    text word by word, wholly where it only sees single characters, as of Chinese. Without a model
    they stand alone. Only safetensors weights are loaded, and no code that comes with a model is
    run.

    Examples
    --------
    >>> encoder = TextEncoder(EncoderConfig(max_tokens=16))
    >>> vectors = encoder.encode(["tea pot", "tea kettle", "cordless drill"]).astype(float)
    >>> pot, kettle, drill = vectors
    >>> bool(pot @ kettle > pot @ drill), encoder.encode([]).shape
    (True, (0, 384))
    >>> TextEncoder(EncoderConfig(model="", width=64)).encode(["茶壶", ""]).any(axis=1).tolist()
    [True, False]
    """

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config
        self.name = f"{config.model}+ngrams-1" if config.ngrams else config.model
        self._model: Any = None
        if config.model:
            self._load(config)

    def _load(self, config: EncoderConfig) -> None:
        self.device = pick_device(config.device)
        try:
            self._tokenizer, self._model = load_encoder(config.model)
        except (OSError, ValueError) as error:
            where = find_model(config.model)
            msg = (
                f"the text encoder {config.model!r} can't be loaded from {where!r}: {error}; "
                "name a folder, an installed package or a Hugging Face model with safetensors"
            )
            raise SettingsError(msg) from error
        width = self._model.config.hidden_size
        if width != config.width:
            msg = f"the text encoder {config.model!r} is {width} wide: set its `width` to {width}"
            raise SettingsError(msg)
        self._model.eval().to(self.device)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Encode texts, shape (N, E); an empty text is a zero vector.

        Texts of similar length are encoded together, so that padding stays short.
        """
        out = np.zeros((len(texts), self.config.width), np.float16)
        there = [n for n, text in enumerate(texts) if text]
        for places in by_length([len(texts[n]) for n in there], self.config.batch):
            part = [there[place] for place in places]
            out[part] = self._encode([texts[n] for n in part])
        return out

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._model is None:
            return ngram_vectors(texts, self.config.width)
        tokens = self._tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self.config.max_tokens,
            return_tensors="pt",
            return_offsets_mapping=True,
        )
        read_N = self._read(tokens)
        tokens = tokens.to(self.device)
        hidden_NSE = self._model(**tokens).last_hidden_state
        mean_NE = mean_over(hidden_NSE, tokens["attention_mask"])
        unit_NE = torch.nn.functional.normalize(mean_NE, dim=1).float().cpu().numpy()
        if not self.config.ngrams:
            return unit_NE
        share_N = 1.0 - (1.0 - self.config.ngrams) * read_N
        return joined(unit_NE, ngram_vectors(texts, self.config.width), share_N)

    @torch.no_grad()
    def tokens(self, texts: Sequence[str], most: int) -> list[Tokens]:
        """The tokens of each text with their vectors of length 1; none without a model."""
        if self._model is None:
            return [NO_TOKENS for _ in texts]
        found: dict[int, Tokens] = {}
        for places in by_length([len(text) for text in texts], self.config.batch):
            tokens = self._tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=most,
                return_tensors="pt",
                return_offsets_mapping=True,
            )
            span_NS2 = tokens.pop("offset_mapping").numpy()
            hidden_NSE = self._model(**tokens.to(self.device)).last_hidden_state
            unit_NSE = torch.nn.functional.normalize(hidden_NSE.float(), dim=2).half().cpu().numpy()
            for n, place in enumerate(places):
                real_S = span_NS2[n, :, 1] > span_NS2[n, :, 0]
                spans_T2 = span_NS2[n][real_S].astype(np.int32)
                found[place] = Tokens(spans_T2, unit_NSE[n][real_S])
        return [found[place] for place in range(len(texts))]

    def _read(self, tokens: Any) -> NDArray[np.float32]:
        """How much of each text the encoder reads in pieces of words, from 0 to 1."""
        span_NS2 = tokens.pop("offset_mapping").numpy()
        letters_NS = span_NS2[:, :, 1] - span_NS2[:, :, 0]
        pieces_N = np.maximum((letters_NS > 0).sum(axis=1), 1)  # marks of begin and end have none
        letters_NS[tokens["input_ids"].numpy() == self._tokenizer.unk_token_id] = 0
        length_N = letters_NS.sum(axis=1) / pieces_N
        fluent_N = np.clip((length_N - CHARACTER) / (WORD_PIECE - CHARACTER), 0.0, 1.0)
        return np.asarray(fluent_N, np.float32)
