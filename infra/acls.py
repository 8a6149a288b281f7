"""What each role may do on a cluster that checks rights: nothing that it doesn't need.

>>> for right in rights("serving", "tidemill."):
...     print(right.kind, right.name, *right.operations)
topic tidemill.requests read
topic tidemill.documents read
topic tidemill.reviews read
topic tidemill.conversations read
topic tidemill.examples read
topic tidemill.item-vectors read
topic tidemill.adapters read
topic tidemill.calibrations read
topic tidemill.ad-spending read
topic tidemill.choices read
topic tidemill.identities read
topic tidemill.outcomes read
topic tidemill.forget read
topic tidemill.recommendations write
topic tidemill.conversations write
topic tidemill.hand-overs write
topic tidemill.ad-spending write
topic tidemill.dead-letters write
group tidemill.serving read
topic tidemill.recommendations read
transactional_id tidemill.serving write
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from infra.roles import role_of
from stream.topics import RAW_EVENT_TOPICS


class Right(NamedTuple):
    """Operations on one thing, or, where `prefixed`, on all whose names begin so."""

    kind: Literal["topic", "group", "transactional_id"]
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


_READS = {
    "ingest-profile": (
        *RAW_EVENT_TOPICS,
        "documents",
        "events",
        "readings",
        "recommendations",
        "item-vectors",
        "choices",
        "forget",
    ),
    "learner": ("items", "examples", "outcomes", "item-vectors", "calibrations", "forget"),
    "serving": (
        "requests",
        "documents",
        "reviews",
        "conversations",
        "examples",
        "item-vectors",
        "adapters",
        "calibrations",
        "ad-spending",
        "choices",
        "identities",
        "outcomes",
        "forget",
    ),
}

_WRITES = {
    "ingest-profile": (
        "events",
        "examples",
        "interest-shifts",
        "profiles",
        "outcomes",
        "dead-letters",
        "forget",
    ),
    "learner": ("readings", "item-vectors", "adapters", "calibrations", "dead-letters"),
    "serving": (
        "recommendations",
        "conversations",
        "hand-overs",
        "ad-spending",
        "dead-letters",
    ),
}

_CHANGELOGS = ("read", "write", "create", "describe_configs")
"""A role that keeps tables makes their changelog topics, `<prefix><role>-…`, by itself."""


def rights(role: str, prefix: str) -> list[Right]:
    """All that a role needs; `write` and `read` include describing."""
    role = role_of(role)
    found = [Right("topic", f"{prefix}{name}", ("read",)) for name in _READS[role]]
    found += [Right("topic", f"{prefix}{name}", ("write",)) for name in _WRITES[role]]
    if role == "ingest-profile":
        found.append(Right("topic", f"{prefix}{role}-", _CHANGELOGS, prefixed=True))
    found.append(Right("group", f"{prefix}{role}", ("read",)))
    if role == "serving":
        found += [
            # What it answered lately, so that a repeated request gets the same answer.
            Right("topic", f"{prefix}recommendations", ("read",)),
            # Answers and offsets in one transaction, under `<prefix>serving-…`.
            Right("transactional_id", f"{prefix}{role}", ("write",), prefixed=True),
        ]
    return found


def acls(role: str, prefix: str, user: str) -> list[ACL]:
    """The same for kafka-python's `KafkaAdminClient.create_acls`."""
    return [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[operation.upper()],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[right.kind.upper()],
                right.name,
                ACLResourcePatternType["PREFIXED" if right.prefixed else "LITERAL"],
            ),
        )
        for right in rights(role, prefix)
        for operation in right.operations
    ]
