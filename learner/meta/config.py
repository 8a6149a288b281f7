"""Every number of few-shot learning, each with its unit and its reason. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class EpisodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the map is trained."""

    rank: Annotated[int, Meta(ge=1, le=512, description="dimensions that it may change")] = 64
    ways: Annotated[int, Meta(ge=2, le=512, description="classes of an episode")] = 20
    shots: Annotated[int, Meta(ge=1, le=64, description="examples of each, at most")] = 5
    queries: Annotated[int, Meta(ge=1, le=64, description="items of each to be told")] = 5
    episodes: Annotated[int, Meta(ge=0, description="none: the map stays the identity")] = 400
    rate: Annotated[float, Meta(gt=0, le=1, description="step size (Adam)")] = 1e-3
    decay: Annotated[float, Meta(ge=0, description="pull of the map towards the identity")] = 0.1
    dropout: Annotated[float, Meta(ge=0, lt=1, description="share of values left out")] = 0.3
    temperature: Annotated[float, Meta(gt=0, description="what a squared distance counts")] = 10.0
    seed: Annotated[int, Meta(ge=0, description="two runs with one seed are equal")] = 0


class TasteConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the head and its projection are made and trained."""

    width: Annotated[int, Meta(ge=1, le=512, description="width of the head")] = 32
    steps: Annotated[int, Meta(ge=0, le=50, description="gradient steps of a user")] = 3
    rate: Annotated[float, Meta(gt=0, description="their size, before it is learnt")] = 1.0
    support: Annotated[int, Meta(ge=1, le=50, description="newest items that it reads")] = 5
    queries: Annotated[int, Meta(ge=1, le=50, description="next items that training asks for")] = 3
    references: Annotated[
        int, Meta(ge=2, le=8192, description="items that were not taken instead, by popularity")
    ] = 256
    epochs: Annotated[int, Meta(ge=0, description="passes over the log; none: no taste")] = 4
    batch: Annotated[int, Meta(ge=1, description="users learnt together")] = 64
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="step size (Adam)")] = 2e-3
    decay: Annotated[float, Meta(ge=0, description="decoupled weight decay")] = 0.1
    seed: Annotated[int, Meta(ge=0, description="two runs with one seed are equal")] = 0


class MetaConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Users with few events: a layer of their own on top of the ranking (`learner.meta`)."""

    few: Annotated[
        int,
        Meta(
            ge=0,
            le=50,
            description="users with fewer known past events than this have the layer; 0: nobody",
        ),
    ] = 0
    candidates: Annotated[
        int,
        Meta(ge=0, le=512, description="what is taken now, in each of four windows, for them"),
    ] = 30
    prototypes: EpisodeConfig = EpisodeConfig()
    taste: TasteConfig = TasteConfig()
