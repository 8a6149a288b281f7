"""Settings of answers to questions: how much is kept, and how sure an answer has to be."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class AnswersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests with a question are answered."""

    on: Annotated[
        bool, Meta(description="answer questions; off: such requests get lists, as any other")
    ] = True
    phrase: Annotated[
        bool,
        Meta(
            description="let the model of learner.texts word answers, where it says nothing that "
            "the cited places don't; off, or without a model: they are quoted"
        ),
    ] = False
    sure: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="probability from which on a sentence of a text is given as an answer; "
            "below, nobody knows",
        ),
    ] = 0.6
    sure_of_field: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="the same where a field is asked for that the item lacks: texts rarely "
            "know better",
        ),
    ] = 0.98
    passages: Annotated[
        int,
        Meta(ge=1, le=16, description="passages read for a question; each may take 20 ms"),
    ] = 3
    reviews_per_item: Annotated[
        int, Meta(ge=1, le=1_000, description="newest reviews of an item that are asked")
    ] = 50
    review_memory_mb: Annotated[
        int, Meta(ge=1, le=65_536, description="what all reviews together may take")
    ] = 256
    slice_ms: Annotated[
        int,
        Meta(ge=1, le=1_000, description="time for new reviews and documents between two batches"),
    ] = 20
    users: Annotated[
        int, Meta(ge=1, description="users whose conversations are remembered: the latest ones")
    ] = 100_000
    conversations: Annotated[
        int, Meta(ge=1, le=32, description="latest conversations of a user that are remembered")
    ] = 4
    conversation_s: Annotated[
        float, Meta(gt=0, description="a conversation that rested for longer begins anew")
    ] = 86_400.0
