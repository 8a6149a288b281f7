"""The frozen sentence encoder: texts in, L2-normalised vectors out.

Legend: `N` texts, `S` tokens, `E` width.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from learner.config import EncoderConfig
from learner.huggingface import quiet_auto_classes
from learner.ranker import pick_device
from stream.errors import SettingsError


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


class TextEncoder:
    """A sentence encoder from `transformers`: mean over tokens, length 1, float16.

    Only safetensors weights are loaded, and no code that comes with a model is run.

    Examples
    --------
    >>> encoder = TextEncoder(EncoderConfig(max_tokens=16))
    >>> vectors = encoder.encode(["tea pot", "tea kettle", "cordless drill"]).astype(float)
    >>> pot, kettle, drill = vectors
    >>> bool(pot @ kettle > pot @ drill), encoder.encode([]).shape
    (True, (0, 384))
    """

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config
        self.name = config.model
        self.device = pick_device(config.device)
        where = find_model(config.model)
        make_model, make_tokenizer = quiet_auto_classes()
        try:
            self._tokenizer = make_tokenizer(where, trust_remote_code=False)
            self._model = make_model(where, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
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
        order = sorted((n for n, text in enumerate(texts) if text), key=lambda n: len(texts[n]))
        for start in range(0, len(order), self.config.batch):
            part = order[start : start + self.config.batch]
            tokens = self._tokenizer(
                [texts[n] for n in part],
                padding=True,
                truncation=True,
                max_length=self.config.max_tokens,
                return_tensors="pt",
            ).to(self.device)
            hidden_NSE = self._model(**tokens).last_hidden_state
            real_NS1 = tokens["attention_mask"][:, :, None].to(hidden_NSE.dtype)
            mean_NE = (hidden_NSE * real_NS1).sum(dim=1) / real_NS1.sum(dim=1)
            unit_NE = torch.nn.functional.normalize(mean_NE, dim=1)
            out[part] = unit_NE.to(torch.float16).cpu().numpy()
        return out
