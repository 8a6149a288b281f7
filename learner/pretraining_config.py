"""How a base is pretrained, and what is told of it while it is and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class DistillConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a smaller model is taught by a teacher, beside the log."""

    teacher: Annotated[str, Meta(description="hash of the teacher's weights")] = ""
    weight: Annotated[
        float, Meta(ge=0, description="of the divergence from the teacher's probabilities")
    ] = 4.0
    temperature: Annotated[
        float, Meta(gt=0, le=100, description="what logits are divided by for the divergence")
    ] = 1.0
    ranking: Annotated[
        float, Meta(ge=0, description="weight of the likelihood of the teacher's order")
    ] = 0.0
    listed: Annotated[
        int, Meta(ge=1, le=1_000, description="items kept of what the teacher says of an event")
    ] = 50
    start: Annotated[
        bool, Meta(description="items start as the teacher's, in fewer dimensions")
    ] = True


class PretrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a base is pretrained."""

    epochs: Annotated[int, Meta(ge=1, le=10_000, description="passes over the log at most")] = 30
    batch: Annotated[int, Meta(ge=1, le=65_536, description="windows learnt together")] = 128
    steps: Annotated[
        int, Meta(ge=1, le=512, description="events of a window; longer histories are cut")
    ] = 50
    rate: Annotated[float, Meta(gt=0, le=1, description="step size (Adam)")] = 1e-3
    warmup: Annotated[
        int, Meta(ge=0, description="steps in which the step size rises from nothing")
    ] = 200
    schedule: Annotated[
        Literal["constant", "linear"],
        Meta(description="whether the step size falls, to nothing at the end of all epochs"),
    ] = "constant"
    average: Annotated[
        float,
        Meta(ge=0, lt=1, description="what is kept is a running mean of weights, of this decay"),
    ] = 0.995
    decay: Annotated[float, Meta(ge=0, le=1, description="decoupled weight decay")] = 0.0
    clip: Annotated[float, Meta(gt=0, description="longest gradient")] = 1.0
    loss: Annotated[
        Literal["softmax", "gbce"],
        Meta(description="sampled softmax, corrected for the sampling, or calibrated binary"),
    ] = "softmax"
    negatives: Annotated[
        int, Meta(ge=1, le=1_000_000, description="sampled items that a batch shares")
    ] = 1_024
    popularity_offset: Annotated[
        bool, Meta(description="learn what popularity doesn't say, as online")
    ] = True
    dropout: Annotated[float, Meta(ge=0, lt=1, description="share of values left out")] = 0.1
    patience: Annotated[
        int, Meta(ge=1, description="epochs without a better validation before the end")
    ] = 5
    holdout: Annotated[
        Literal["time", "last"],
        Meta(description="validate on the log's last events, or on each user's last one"),
    ] = "time"
    valid_share: Annotated[
        float, Meta(gt=0, lt=0.5, description="share of the time range held out by `time`")
    ] = 0.05
    valid_max: Annotated[int, Meta(ge=1, description="held-out events ranked at most")] = 2_000
    filter_seen: Annotated[
        bool, Meta(description="don't rank what a user had, where a log has no repeats")
    ] = False
    contrast: Annotated[
        float, Meta(ge=0, description="weight of the likeness of two changed views of a history")
    ] = 0.0
    adversarial: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="how far items' vectors are moved where it hurts, as a share of their "
            "length, before the same is learnt again",
        ),
    ] = 0.0
    distill: Annotated[
        DistillConfig | None, Meta(description="what a teacher adds; none: nothing")
    ] = None
    seed: Annotated[int, Meta(ge=0, description="two runs with one seed are bit-equal")] = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a pretraining is: for a progress bar."""

    epoch: int
    done: int
    """Positions of this epoch."""
    total: int
    loss: float
    """Its running mean over the epoch."""
    ndcg10: float | None
    """Of the last validation."""


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """What one epoch came to."""

    number: int
    loss: float
    ndcg10: float
    hr10: float
    seconds: float


class PretrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a pretraining came to; the weights are those of the best epoch."""

    epochs: tuple[Epoch, ...]
    best: int
    ndcg10: float
    hr10: float
    positions: int
    """Next items per epoch."""
    items: int
    """Items with a vector of their own."""
    seconds: float


Progress = Callable[[Moment], None]
