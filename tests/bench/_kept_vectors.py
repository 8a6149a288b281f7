"""The frozen encoder with a folder beside it: what it said of a text once is not computed again.

Legend: `N` texts, `E` width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from learner.config import EncoderConfig
from learner.reviews.config import ReviewConfig
from learner.reviews.shared import SharedEncoder, Tokens


class KeptEncoder(SharedEncoder):
    """Vectors of texts by the texts' hashes; tokens, which only adapters need, are not kept.

    Parameters
    ----------
    folder
        One file for each log and each way of reading; `close` writes it.
    name
        Of the log.
    """

    def __init__(
        self, folder: Path, name: str, encoder: EncoderConfig, config: ReviewConfig
    ) -> None:
        super().__init__(encoder, config, torch.device("cpu"), seed=0)
        how = f"{encoder.model} {config.layers} {config.max_tokens}"
        self._path = folder / f"{name}-{hashlib.sha256(how.encode()).hexdigest()[:8]}.npz"
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._grew = False
        if self._path.is_file():
            with np.load(self._path) as file:
                self._known = {
                    hash_8.tobytes(): vector_2E
                    for hash_8, vector_2E in zip(file["hashes"], file["vectors"], strict=True)
                }

    def lower(self, texts: Sequence[str]) -> tuple[list[Tokens], NDArray[np.float64]]:
        """As the encoder, with no tokens, and vectors in single precision."""
        keys = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
        new = [n for n, key in enumerate(keys) if key not in self._known]
        if new:
            _, vector_N2E = super().lower([texts[n] for n in new])
            for n, vector_2E in zip(new, vector_N2E.astype(np.float32), strict=True):
                self._known[keys[n]] = vector_2E
            self._grew = True
        none = np.zeros((0, self.width), np.float16)
        vector_N2E = np.array([self._known[key] for key in keys], np.float64)
        return [none] * len(texts), vector_N2E

    def close(self) -> None:
        """Write what is new."""
        if not self._grew:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        hashes = np.array([np.frombuffer(key, np.uint8) for key in self._known])
        half = self._path.with_suffix(".part.npz")
        np.savez(half, hashes=hashes, vectors=np.array(list(self._known.values())))
        half.rename(self._path)
