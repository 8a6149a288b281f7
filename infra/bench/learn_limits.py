"""What a step multiplies and moves, and what the device could.

Operations are counted by PyTorch's own counter. Bytes are those of what each operation reads and
writes: no less than what has to move where nothing is fused and nothing stays in a cache, and more
than what really moves where something does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

_VIEWS = ("view", "expand", "permute", "transpose", "slice", "select", "t.", "alias", "detach")

TRIES = 5


class Moved(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations read and write.

    >>> with Moved() as moved:
    ...     _ = torch.ones(256) + torch.ones(256)
    >>> moved.bytes
    5120
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and count."""
        out = func(*args, **(kwargs or {}))
        if not any(view in str(func) for view in _VIEWS):
            for leaf in tree_leaves((args, kwargs, out)):
                if isinstance(leaf, torch.Tensor):
                    self.bytes += leaf.numel() * leaf.element_size()
        return out


def counted(step: Callable[[], object]) -> tuple[float, float]:
    """The floating-point operations and the bytes of one call."""
    with FlopCounterMode(display=False) as flops:
        step()
    with Moved() as moved:
        step()
    return float(flops.get_total_flops()), float(moved.bytes)


def limits(device: torch.device) -> tuple[float, float]:
    """The operations and bytes per second that a large product, and a large copy, reach here."""
    cuda = device.type == "cuda"
    size, kind = (8_192, torch.bfloat16) if cuda else (1_024, torch.float32)
    left = torch.randn(size, size, device=device, dtype=kind)
    source = torch.zeros((1 << 30) if cuda else (1 << 26), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product_s = fastest(lambda: left @ left, device)
    copy_s = fastest(lambda: target.copy_(source), device)
    return 2.0 * size**3 / product_s, 2.0 * source.numel() / copy_s


def fastest(call: Callable[[], object], device: torch.device, tries: int = TRIES) -> float:
    """Seconds of the fastest of a few calls."""
    best = float("inf")
    for _ in range(tries + 1):
        began = now_s(device)
        call()
        best = min(best, now_s(device) - began)
    return best


def now_s(device: torch.device) -> float:
    """The time by which all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
