"""Every number of sentences about items, each with its unit. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from learner.device import Device


class TextsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sentences about items: templates, and a model that words facts where one is named."""

    model: Annotated[
        str,
        Meta(
            description="a causal or encoder-decoder language model with safetensors weights: a "
            "folder or a Hugging Face name; empty: templates alone, which quote"
        ),
    ] = ""
    adapter: Annotated[
        str, Meta(description="a file of a learnt adapter (safetensors); empty: none yet")
    ] = ""
    language: Annotated[
        Literal["en", "de", "fr", "es", "zh"],
        Meta(description="of which the checker knows the words that claim nothing"),
    ] = "en"
    agreement: Annotated[
        int, Meta(ge=1, le=1000, description="shoppers who have to say a word to be quoted with it")
    ] = 3
    drafts: Annotated[
        int, Meta(ge=1, le=64, description="drafts tried before a template speaks")
    ] = 4
    prompt: Annotated[
        int, Meta(ge=8, le=4096, description="word pieces of facts that the model is told")
    ] = 32
    pieces: Annotated[
        int, Meta(ge=8, le=4096, description="word pieces of a text that it learns, or writes")
    ] = 64
    rank: Annotated[int, Meta(ge=1, le=256, description="rank of the adapter")] = 8
    rate: Annotated[float, Meta(gt=0, description="step size of the adapter (AdamW)")] = 3e-3
    decay: Annotated[float, Meta(ge=0, description="weight decay of the adapter")] = 0.01
    dropout: Annotated[float, Meta(ge=0, lt=1, description="before the adapter")] = 0.0
    device: Annotated[Device, Meta(description="auto takes CUDA when there is some")] = "auto"
