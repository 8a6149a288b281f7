"""Where tensors are: as a setting names it, and as PyTorch does. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def pick_device(name: str) -> torch.device:
    """CUDA when asked for, or when there is some and nothing else was asked for.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    import torch  # noqa: PLC0415 - settings are read without it

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
