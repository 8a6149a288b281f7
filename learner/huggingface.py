"""What we take from `transformers` and `peft`, imported without what they look for on their way.

Both import scikit-learn, pandas, scipy, sympy, torch's compiler and its sharded tensors where these
are installed: 8 of 13 seconds, for parts of them that nobody here calls. Each is left out in the
way in which its absence is provided for: an empty place in `sys.modules`, a question answered with
no, and decorators of a compiler that is never run. Which distribution a module is of is looked up
by name, not in the lists of all installed files. Whoever imports the same libraries later gets them
whole. Should a new version ask in another way, then starting takes longer, and that is all.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

from stream.stand_ins import slim, stand_ins

_NOT_CALLED = ("sklearn", "scipy")

_COMPILER = "torch._dynamo"


class _NoCompiler(ModuleType):
    """Stands for `torch._dynamo` while functions are being decorated for it."""

    __path__: list[str] = []  # noqa: RUF012 - what makes a module a package

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _as_it_is


def _as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
    return (lambda inner: inner) if function is None else function


def _no() -> bool:
    return False


@contextlib.contextmanager
def _answering(
    module: ModuleType, question: str, instead: Callable[[], Any] = _no
) -> Iterator[None]:
    answer = getattr(module, question, None)
    if answer is None:
        yield
        return
    setattr(module, question, instead)
    try:
        yield
    finally:
        setattr(module, question, answer)


class _ByName(dict[str, list[str]]):
    """Which distributions a module is of, without reading the lists of files of all that there are.

    Most modules have their distribution's name; for others all are read after all.
    """

    def get(self, module: str, default: Any = None) -> Any:
        """The names of a module's distributions."""
        try:
            importlib.metadata.distribution(module)
        except importlib.metadata.PackageNotFoundError:
            if not self:
                self.update(_packages_distributions())
            return super().get(module, default)
        return [module]


_packages_distributions = importlib.metadata.packages_distributions


@contextlib.contextmanager
def _only_what_is_called() -> Iterator[None]:
    modules: list[ModuleType] = []
    if _COMPILER not in sys.modules:
        # The one name that is taken from its inside is for masks made by `vmap`.
        inside = f"{_COMPILER}._trace_wrapped_higher_order_op"
        modules += [
            _NoCompiler(_COMPILER),
            slim(inside, TransformGetItemToIndex=contextlib.nullcontext),
        ]
    with (
        stand_ins(*modules, absent=_NOT_CALLED),
        _answering(torch.distributed, "is_available"),
        _answering(importlib.metadata, "packages_distributions", _ByName),
    ):
        import transformers.utils as heads  # noqa: PLC0415 - asks its first questions here

        flex = "is_torch_flex_attn_available"
        with _answering(heads, flex), _answering(heads.import_utils, flex):
            yield


with _only_what_is_called():
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaModel

__all__ = [
    "LlamaConfig",
    "LlamaModel",
    "LoraConfig",
    "get_peft_model",
    "quiet_auto_classes",
    "quietly",
]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without progress bars: a role's output belongs to its supervisor."""
    from transformers.utils import logging  # noqa: PLC0415

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def quiet_auto_classes() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes a model, and what makes a tokenizer, by name; without progress bars.

    A role's output belongs to its supervisor. They are imported at the first call: only the process
    that encodes texts needs them.
    """
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return AutoModel.from_pretrained, AutoTokenizer.from_pretrained
