"""What a question is, what a reply is made of, and how a conversation goes on after it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from serving.answers.attributes import Meant, look_up
from serving.answers.compare import cite_field
from serving.answers.documents import Passage
from serving.answers.phrases import Phrases
from serving.answers.reading import Found
from stream.asked import Answer, Citation, Dialogue, HandOver, Turn, Wishes
from stream.events import Filters, ItemVector
from stream.tenants import plain

MOST_TURNS = 6
MOST_SHOWN = 10


class Sureness(NamedTuple):
    """From which probability on a sentence is an answer, and how many passages are read."""

    text: float = 0.6
    lacking_field: float = 0.98
    passages: int = 3


class Question(NamedTuple):
    """A question as it is asked; ids as they are inside."""

    text: str
    user_id: str
    now_ms: int
    question_id: str
    request_id: str | None = None
    item_id: str | None = None
    dialogue: Dialogue | None = None


class Search(NamedTuple):
    """The list that belongs to an answer: what to search for, and what must not be in it."""

    query: str
    filters: Filters
    not_brands: tuple[str, ...]


class Reply(NamedTuple):
    """An answer, and what follows from it."""

    answer: Answer
    dialogue: Dialogue | None = None
    hand_over: HandOver | None = None
    search: Search | None = None


def field_answer(meant: Meant, item: ItemVector, words: Phrases) -> Answer | None:
    """What the meant field of an item says; `None` where the item lacks it."""
    field = look_up(meant, item)
    if field is None:
        return None
    return Answer(
        text=words.field.format(name=field.label, value=field.value),
        route="attribute",
        citations=(cite_field(item, field),),
        confidence=1.0,
        value=field.value,
    )


def cite(passage: Passage, found: Found) -> Citation:
    """Where a found sentence stands."""
    return Citation(
        source=passage.source,
        id=plain(passage.id),
        field=passage.field,
        start=found.span.start,
        end=found.span.end,
        quote=found.quote,
    )


def after(
    question: Question,
    route: str,
    *,
    wishes: Wishes | None = None,
    shown: tuple[str, ...] | None = None,
) -> Dialogue | None:
    """The conversation after a turn; `None` where the question belongs to none."""
    before = question.dialogue
    if before is None:
        return None
    turn = Turn(question.now_ms, question.text[:500], route)
    return msgspec.structs.replace(
        before,
        ts_ms=question.now_ms,
        wishes=before.wishes if wishes is None else wishes,
        item_ids=before.item_ids if not shown else shown[:MOST_SHOWN],
        turns=(*before.turns, turn)[-MOST_TURNS:],
    )


def told_wishes(wishes: Wishes) -> str:
    """Wishes in a few words.

    >>> told_wishes(Wishes(category="Tea pots", price_max=40.0, words=("red",), use="camping"))
    'Tea pots, red, ≤ 40, camping'
    """
    low, high = wishes.price_min, wishes.price_max
    price = " ".join(
        part
        for part in (
            f"≥ {low:g}" if low is not None else "",
            f"≤ {high:g}" if high is not None else "",
        )
        if part
    )
    parts = [wishes.category, wishes.brand, " ".join(wishes.words), price, wishes.use]
    parts += [f"≠ {brand}" for brand in wishes.not_brands]
    return ", ".join(part for part in parts if part) or "…"
