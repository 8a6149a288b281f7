"""The topics: their names, keys, clean-up policies and schemas, in one table.

>>> topics = Topics("shop.")
>>> topics.clicks
'shop.clicks'
>>> [spec.name for spec in SPECS if spec.compacted and spec.written_by == "the shop"]
['items', 'documents', 'choices', 'identities']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from stream import asked, events

DAY_MS = 86_400_000

COMPACTION_LAG_MS = 3_600_000
"""A tombstone is honoured within this time and a segment roll: what a deleted item may outlive."""


LETTER_TOPIC_BYTES = 2_097_152
"""Of a record on `dead-letters`: the largest that a broker takes by default, 1 MiB, and our headers
beside it."""


@dataclass(frozen=True)
class TopicSpec:
    """What one topic holds and how the broker keeps it."""

    name: str
    key: str
    summary: str
    schema: type[msgspec.Struct] | None
    written_by: str
    compacted: bool = False
    retention_ms: int = 7 * DAY_MS
    max_bytes: int | None = None

    @property
    def config(self) -> Mapping[str, str]:
        """The broker's settings of this topic."""
        if self.compacted:
            return {
                "cleanup.policy": "compact",
                "max.compaction.lag.ms": str(COMPACTION_LAG_MS),
                "segment.ms": str(COMPACTION_LAG_MS),
            }
        size = {} if self.max_bytes is None else {"max.message.bytes": str(self.max_bytes)}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **size}


SPECS: tuple[TopicSpec, ...] = (
    TopicSpec("clicks", "any", "views, clicks and carts", events.Click, "the shop"),
    TopicSpec("purchases", "any", "purchases", events.Purchase, "the shop"),
    TopicSpec("reviews", "any", "ratings and review texts", events.Review, "the shop"),
    TopicSpec("items", "item_id", "the catalogue", events.Item, "the shop", compacted=True),
    TopicSpec(
        "documents",
        "document_id",
        "policies, answers, manuals",
        asked.Document,
        "the shop",
        compacted=True,
    ),
    TopicSpec("requests", "user_id", "who wants recommendations", events.Request, "the shop"),
    TopicSpec(
        "choices",
        "user_id",
        "who isn't to be personalised",
        events.Choice,
        "the shop",
        compacted=True,
    ),
    TopicSpec(
        "identities",
        "user_id",
        "which ids are one person",
        events.Identity,
        "the shop",
        compacted=True,
    ),
    TopicSpec("events", "user_id", "one validated stream", events.Event, "ingest"),
    TopicSpec("examples", "user_id", "events with their history", events.Example, "profile"),
    TopicSpec(
        "interest-shifts", "user_id", "whose interest moved", events.InterestShift, "profile"
    ),
    TopicSpec(
        "profiles",
        "user_id",
        "users in two or three sentences",
        events.ProfileText,
        "profile",
        compacted=True,
    ),
    TopicSpec("readings", "user_id", "what reviews say", events.Reading, "learner"),
    TopicSpec(
        "item-vectors",
        "item_id",
        "validated items with their text vectors",
        events.ItemVector,
        "learner",
        compacted=True,
    ),
    TopicSpec(
        "adapters",
        "model",
        "model versions and what they have learnt",
        events.AdapterVersion,
        "learner",
        compacted=True,
    ),
    TopicSpec(
        "recommendations",
        "user_id",
        "answers, asked for or pushed",
        events.Recommendation,
        "serving",
    ),
    TopicSpec(
        "conversations",
        "user_id",
        "what users asked lately, and look for",
        asked.Conversations,
        "serving",
        compacted=True,
    ),
    TopicSpec(
        "hand-overs",
        "user_id",
        "questions that a person has to answer",
        asked.HandOver,
        "serving",
    ),
    TopicSpec(
        "outcomes",
        "user_id",
        "what became of each item that was shown",
        events.Outcome,
        "profile",
    ),
    TopicSpec(
        "calibrations",
        "tenant",
        "what scores are worth: the probability of a click",
        events.Calibrated,
        "learner",
        compacted=True,
    ),
    TopicSpec(
        "ad-spending",
        "partition/item_id",
        "what ads have spent today",
        events.AdSpend,
        "serving",
        compacted=True,
    ),
    TopicSpec(
        "dead-letters",
        "source",
        "refused records, byte for byte, with the reason in their headers",
        None,
        "every role",
        retention_ms=30 * DAY_MS,
        max_bytes=LETTER_TOPIC_BYTES,
    ),
    TopicSpec(
        "forget",
        "user_id",
        "users to erase, until they are",
        events.Forget,
        "the shop",
        retention_ms=-1,
    ),
)

REPLAYABLE: Mapping[str, TopicSpec] = {
    spec.name: spec for spec in SPECS if spec.written_by == "the shop" or spec.name == "events"
}
"""Topics whose dead letters may go to them again: what we write ourselves is written anew from the
shop's records, `events` apart, whose records ingest has accepted and won't publish again."""

_NOT_REPLAYABLE = tuple(spec.name for spec in SPECS if spec.name not in REPLAYABLE)


def is_replayable(topic: str) -> bool:
    """Whether a dead letter of a topic, whatever its prefix, may be sent again.

    >>> is_replayable("shop.clicks"), is_replayable("shop.events"), is_replayable("shop.examples")
    (True, True, False)
    """
    return not topic.endswith(_NOT_REPLAYABLE)


RAW_EVENT_TOPICS = ("clicks", "purchases", "reviews")
"""The topics whose records ingest turns into `events`."""


class Topics:
    """Full topic names under one prefix."""

    def __init__(self, prefix: str = "tidemill.") -> None:
        self.prefix = prefix
        self.clicks = f"{prefix}clicks"
        self.purchases = f"{prefix}purchases"
        self.reviews = f"{prefix}reviews"
        self.items = f"{prefix}items"
        self.documents = f"{prefix}documents"
        self.requests = f"{prefix}requests"
        self.events = f"{prefix}events"
        self.examples = f"{prefix}examples"
        self.readings = f"{prefix}readings"
        self.interest_shifts = f"{prefix}interest-shifts"
        self.profiles = f"{prefix}profiles"
        self.item_vectors = f"{prefix}item-vectors"
        self.adapters = f"{prefix}adapters"
        self.recommendations = f"{prefix}recommendations"
        self.conversations = f"{prefix}conversations"
        self.hand_overs = f"{prefix}hand-overs"
        self.outcomes = f"{prefix}outcomes"
        self.calibrations = f"{prefix}calibrations"
        self.ad_spending = f"{prefix}ad-spending"
        self.choices = f"{prefix}choices"
        self.identities = f"{prefix}identities"
        self.dead_letters = f"{prefix}dead-letters"
        self.forget = f"{prefix}forget"

    @property
    def raw_events(self) -> tuple[str, str, str]:
        """The topics whose records ingest turns into `events`."""
        return (self.clicks, self.purchases, self.reviews)

    def full(self, spec: TopicSpec) -> str:
        """The name of a topic on the broker."""
        return f"{self.prefix}{spec.name}"
