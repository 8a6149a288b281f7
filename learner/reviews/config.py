"""Every number of the review reader, each with its unit and its reason. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ReviewConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How reviews are read and learnt: n-grams, the encoder as it is, its adapters."""

    on: Annotated[bool, Meta(description="off: reviews count by their stars alone")] = True
    encoder: Annotated[
        bool, Meta(description="off: hashed n-grams alone read, with no pretrained weights")
    ] = True
    adapters: Annotated[
        bool,
        Meta(
            description="learn the encoder's last layers too, by an adapter per task; off: its "
            "vectors are read as they are, at about a quarter of the time"
        ),
    ] = False
    adapter: Annotated[
        Literal["lora", "adalora"],
        Meta(description="one rank for all places, or one that is shared out among them"),
    ] = "lora"
    layers: Annotated[
        int, Meta(ge=1, le=48, description="last layers of the encoder that have adapters")
    ] = 2
    rank: Annotated[int, Meta(ge=1, le=256, description="rank of the adapters")] = 8
    max_tokens: Annotated[
        int, Meta(ge=8, le=512, description="of a longer review, beginning and end are read")
    ] = 96
    dropout: Annotated[float, Meta(ge=0, lt=1, description="in adapters and heads")] = 0.1
    l2: Annotated[float, Meta(ge=0, description="weight decay of adapters and heads")] = 0.01
    rate: Annotated[float, Meta(gt=0, description="step size of the adapters (Adam)")] = 1e-3
    head_rate: Annotated[float, Meta(gt=0, description="step size of their heads (Adam)")] = 3e-3
    rows: Annotated[
        int,
        Meta(ge=0, le=4096, description="reviews in a step of the adapters, new and replayed"),
    ] = 32
    replay_size: Annotated[
        int, Meta(ge=0, le=100_000, description="reviews kept as n-grams, 2 to 20 kB each")
    ] = 4096
    replay_tokens: Annotated[
        int, Meta(ge=0, le=100_000, description="of each sentiment, kept as tokens, 50 kB each")
    ] = 256
    ngram_bits: Annotated[
        int, Meta(ge=8, le=24, description="log2 of the buckets of n-grams, 36 bytes each, twice")
    ] = 18
    ngram_longest: Annotated[
        int, Meta(ge=1, le=8, description="characters in the longest n-gram")
    ] = 5
    ngram_rate: Annotated[float, Meta(gt=0, description="step size of n-grams (Adagrad)")] = 0.2
    ngram_l2: Annotated[float, Meta(ge=0, description="pull of n-grams' weights to 0")] = 1e-6
    replays: Annotated[
        int, Meta(ge=0, le=16, description="replayed steps of n-grams after each new one")
    ] = 2
    balance: Annotated[
        float,
        Meta(ge=0, le=1, description="0: all reviews count alike; 1: all sentiments do"),
    ] = 0.5
    guess_above: Annotated[
        float,
        Meta(
            gt=0,
            description="unrated reviews whose sentiment is so probable are learnt with it; "
            "above 1 none is",
        ),
    ] = 2.0
    weighed: Annotated[
        int, Meta(ge=64, le=100_000, description="newest reviews that say how much a reader counts")
    ] = 4096
