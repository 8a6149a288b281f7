"""Settings of search."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class SearchConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How queries are answered."""

    on: Annotated[
        bool, Meta(description="answer requests with a `query`; off, they get a list as others do")
    ] = True
    by_words: Annotated[
        int, Meta(ge=1, le=2_000, description="items found by words that are put in order")
    ] = 200
    by_meaning: Annotated[
        int, Meta(ge=0, le=2_000, description="nearest items by text, beside them; 0: words alone")
    ] = 100
    least_meaning: Annotated[
        float,
        Meta(
            ge=-1,
            le=1,
            description="cosine from which an item that has none of the words is found by meaning",
        ),
    ] = 0.3
    scored: Annotated[
        int,
        Meta(
            ge=0,
            le=192,
            description="found items that the model scores for who asks, the best first; 0: none",
        ),
    ] = 100
    correct_below: Annotated[
        int,
        Meta(
            ge=0,
            description="a query with a word that no item has is spelt otherwise where fewer items "
            "have all its words; 0: never",
        ),
    ] = 3
    facet_values: Annotated[
        int, Meta(ge=1, le=1_000, description="values of a facet in an answer")
    ] = 20
    suggestions: Annotated[
        int, Meta(ge=1, le=100, description="completions of a query's beginning")
    ] = 8
    slice_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="longest that taking items into the index holds up requests at a time, ms",
        ),
    ] = 20
    lists: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="shown lists remembered until their clicks come, 1 kB each; 0: nothing is "
            "learnt from clicks, which needs outcomes.on as well",
        ),
    ] = 5_000
