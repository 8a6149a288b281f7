"""One frozen text encoder for all tasks: its lower layers run once, its last ones once per adapter.

Legend: `N` texts, `S` tokens, `E` width.

An adapter by name (LoRA, arXiv 2106.09685, or AdaLoRA, arXiv 2303.10512, both through `peft`) sits
in the encoder's last layers. Each adapter has modules of its own, but not weights of its own beyond
the adapter's: the frozen ones are the same tensors. What the lower layers say of a text never
changes, so that a text which is learnt again needs only the last ones.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.config import EncoderConfig
from learner.encoder import by_length, load_encoder, mean_over
from learner.huggingface import LoraConfig, get_peft_model
from learner.reviews.config import ReviewConfig
from stream.errors import SettingsError

Tokens = NDArray[np.float16]
"""What the lower layers say of one text, (S, E)."""


class Upper(nn.Module):
    """The last layers, then the mean over tokens."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, hidden_NSE: Tensor, real_NS: Tensor) -> Tensor:
        """Vectors of texts, (N, E)."""
        mask = _mask(real_NS)
        for layer in self.layers:
            hidden_NSE = layer(hidden_NSE, mask)
        return mean_over(hidden_NSE, real_NS)


class SharedEncoder:
    """The encoder, and its adapters by name.

    Raises
    ------
    SettingsError
        If it can't be loaded, or isn't of BERT's family.

    Examples
    --------
    >>> shared = SharedEncoder(EncoderConfig(device="cpu"), ReviewConfig(), torch.device("cpu"), 0)
    >>> for name in ("sentiment", "rating", "generator"):
    ...     _ = shared.add(name)
    >>> shared.bytes_of(["sentiment"]) * 1.1 > shared.bytes_of(list(shared.adapters))
    True
    """

    def __init__(
        self, encoder: EncoderConfig, config: ReviewConfig, device: torch.device, seed: int
    ) -> None:
        self.config, self.device, self.seed = config, device, seed
        try:
            self._tokenizer, self._model = load_encoder(encoder.model)
            layers = self._model.encoder.layer
        except (OSError, ValueError, AttributeError) as error:
            msg = (
                f"the text encoder {encoder.model!r} can't read reviews: {error}; name one of "
                "BERT's family with safetensors, or set learner.reviews.encoder to false"
            )
            raise SettingsError(msg) from error
        self._model.eval().requires_grad_(False).to(device)  # noqa: FBT003 - torch's own
        cut = max(0, len(layers) - config.layers)
        self._lower, self._last = layers[:cut], layers[cut:]
        self.width = int(self._model.config.hidden_size)
        self.batch = encoder.batch
        self.adapters: dict[str, nn.Module] = {}

    def add(self, name: str) -> nn.Module:
        """An adapter's own way through the last layers: frozen weights shared, the adapter new."""
        own = {id(value): value for value in self._last.parameters()}
        own |= {id(value): value for value in self._last.buffers()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + len(self.adapters))
            upper = Upper(copy.deepcopy(self._last, own))
            for module in upper.modules():
                if isinstance(module, nn.Dropout):
                    module.p = self.config.dropout
            self.adapters[name] = get_peft_model(upper, _adapter(self.config), adapter_name=name)
        return self.adapters[name].to(self.device)

    @torch.no_grad()
    def lower(self, texts: Sequence[str]) -> tuple[list[Tokens], NDArray[np.float64]]:
        """What the lower layers say of each text, and what the whole frozen encoder says, (N, 2E).

        The latter are the means over tokens below and above the last layers. Of a text that is too
        long, beginning and end are read (Sun et al., "How to fine-tune BERT", 2019).
        """
        ids = [self._ids(text) for text in texts]
        tokens: list[Tokens] = [np.zeros((0, self.width), np.float16)] * len(ids)
        vector_N2E = np.zeros((len(ids), 2 * self.width))
        for part in by_length([len(one) for one in ids], self.batch):
            real_NS = _real([len(ids[n]) for n in part], self.device)
            ids_NS = torch.zeros(real_NS.shape, dtype=torch.long, device=self.device)
            for row, n in enumerate(part):
                ids_NS[row, : len(ids[n])] = torch.tensor(ids[n], device=self.device)
            hidden_NSE = self._model.embeddings(input_ids=ids_NS)
            mask = _mask(real_NS)
            for layer in self._lower:
                hidden_NSE = layer(hidden_NSE, mask)
            below_NE = mean_over(hidden_NSE, real_NS)
            half_NSE = hidden_NSE.to(torch.float16).cpu().numpy()
            for row, n in enumerate(part):
                tokens[n] = half_NSE[row, : len(ids[n])].copy()
            for layer in self._last:
                hidden_NSE = layer(hidden_NSE, mask)
            both = torch.cat([below_NE, mean_over(hidden_NSE, real_NS)], dim=1)
            vector_N2E[part] = both.cpu().numpy()
        return tokens, vector_N2E

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer(text, add_special_tokens=True)["input_ids"]
        most = self.config.max_tokens
        return found if len(found) <= most else found[: most // 2] + found[-(most - most // 2) :]

    def together(self, tokens: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Tokens of several texts as one batch: (N, S, E) and which of them are real, (N, S)."""
        real_NS = _real([len(one) for one in tokens], self.device)
        hidden_NSE = np.zeros((*real_NS.shape, self.width), np.float32)
        for row, one in enumerate(tokens):
            hidden_NSE[row, : len(one)] = one
        return torch.from_numpy(hidden_NSE).to(self.device), real_NS

    def bytes_of(self, names: Sequence[str]) -> int:
        """Memory of the encoder with some of its adapters, each tensor once."""
        modules = [self._model, *(self.adapters[name] for name in names)]
        own = {p.data_ptr(): p.numel() * p.element_size() for m in modules for p in m.parameters()}
        return sum(own.values())


def _real(lengths: Sequence[int], device: torch.device) -> Tensor:
    length_N1 = torch.tensor(lengths, device=device)[:, None]
    return torch.arange(max(lengths, default=0), device=device)[None] < length_N1


def _mask(real_NS: Tensor) -> Tensor | None:
    if bool(real_NS.all()):
        return None
    return torch.where(real_NS, 0.0, torch.finfo(torch.float32).min)[:, None, None]


def _adapter(config: ReviewConfig) -> object:
    places = r".*\.(query|value|dense)"
    if config.adapter == "adalora":
        from peft import AdaLoraConfig  # noqa: PLC0415 - an option that few take

        return AdaLoraConfig(
            init_r=config.rank + config.rank // 2,
            target_r=config.rank,
            lora_alpha=2 * config.rank,
            lora_dropout=config.dropout,
            target_modules=places,
            tinit=200,
            tfinal=200,
            deltaT=10,
            total_step=2_000,
        )
    return LoraConfig(
        r=config.rank,
        lora_alpha=2 * config.rank,
        lora_dropout=config.dropout,
        target_modules=places,
    )
