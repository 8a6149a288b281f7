"""What questions and their answers are made of: documents, answers with citations, conversations.

These cross topics as the records of `stream.events` do, whose rules hold here as well.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Tenant = str | msgspec.UnsetType
"""As in `stream.events`, which imports this file."""

MAX_DOCUMENT_CHARS = 200_000
"""A manual of a hundred pages; what is longer should be several documents."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `documents`: a policy, a page of questions, a manual.

    A null value deletes the document.
    """

    document_id: Annotated[str, Meta(min_length=1, max_length=256)]
    text: str
    title: str = ""
    language: Annotated[str, Meta(max_length=35)] = ""
    url: Annotated[str, Meta(max_length=2_000)] = ""
    tenant: Tenant = msgspec.UNSET


Source = Literal["item", "review", "document"]
"""What an answer may be taken from."""

Route = Literal[
    "attribute", "opinion", "review", "policy", "find", "compare", "hand-over", "unknown"
]
"""How a question was answered: from an item's field, by what reviews say for and against, with a
review's sentence, from a document, with a list, with a table, by a person, or not at all."""


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a quotation stands: in `source`'s field, from `start` up to `end`, letter by letter.

    `id` is the item's, the review's (its event's id) or the document's. `start` and `end` count
    characters of the field as Tidemill keeps it; of a number they count its digits.
    """

    source: Source
    id: str
    field: str
    start: int
    end: int
    quote: str


class Votes(msgspec.Struct, frozen=True, kw_only=True):
    """How many shoppers say so, and how many say otherwise."""

    say: int
    deny: int


class Wishes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a shopper was heard to look for, up to now."""

    category: str = ""
    brand: str = ""
    price_min: float | None = None
    price_max: float | None = None
    use: str = ""
    words: tuple[str, ...] = ()
    not_brands: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer to a question, in a record of `recommendations`.

    Attributes
    ----------
    text
        What a shopper reads. Where nothing is known it says so, and what would help.
    route
        How it was found.
    citations
        What it rests on.
    confidence
        How sure it is that this answers the question, from 0 to 1.
    value
        Of a field of an item: what the field says.
    votes
        Of an opinion.
    table
        Of a comparison: a row of names, then a row for each field.
    wishes
        What is being looked for.
    hand_over_id
        Of a record on `hand-overs`: a person goes on from here.
    """

    text: str
    route: Route
    citations: tuple[Citation, ...] = ()
    confidence: float = 0.0
    value: str = ""
    votes: Votes | None = None
    table: tuple[tuple[str, ...], ...] = ()
    wishes: Wishes | None = None
    hand_over_id: str | None = None


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """A question, and how it was answered."""

    ts_ms: int
    question: str
    route: str


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one conversation."""

    conversation_id: str
    ts_ms: int
    wishes: Wishes = Wishes()
    item_ids: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `conversations`: a user's latest ones, the newest last."""

    user_id: str
    dialogues: tuple[Dialogue, ...]
    tenant: Tenant = msgspec.UNSET


HandOverReason = Literal["order", "complaint", "person"]
"""Why a person is needed: it is about an order, something is wrong, or a person was asked for."""


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `hand-overs`: a question that a person has to answer."""

    hand_over_id: str
    request_id: str | None
    user_id: str
    ts_ms: int
    reason: HandOverReason
    question: str
    conversation_id: str | None = None
    item_id: str | None = None
    said: tuple[str, ...] = ()
    tenant: Tenant = msgspec.UNSET
