"""Documents: what can't be used becomes a dead letter, once, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.documents_agent import DocumentsAgent
from stream.errors import BadRecord
from stream.outgoing import Outgoing
from stream.parse_document import parse_document, parse_document_key

GOOD = (
    b'{"document_id": "returns", "title": "Returns", "text": "Within 30 days.", "language": "en"}'
)


class Sent:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Outgoing]] = []

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        self.records += [(topic, record) for record in records]


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        (b"returns", b"{}", "document_id"),
        (b"returns", b'{"document_id": "returns", "text": "  "}', "text"),
        (b"returns", b'{"document_id": "returns", "text": 7}', "text"),
        (b"other", GOOD, "key"),
        (b"returns", b"\xff\xfe", "value"),
        (b"a", b'{"document_id": "a", "text": "' + b"x" * 200_001 + b'"}', "text"),
        (b"a", b'{"document_id": "a", "text": "x", "tenant": "nobody"}', "tenant"),
    ],
)
def test_what_is_wrong_is_said(key: bytes, value: bytes, field: str) -> None:
    with pytest.raises(BadRecord) as refused:
        parse_document(PlainRecord(key, value, 0))
    assert refused.value.field == field


def test_a_tenants_document_is_another_document() -> None:
    value = b'{"document_id": "returns", "text": "Never.", "tenant": "acme"}'
    document = parse_document(PlainRecord(b"acme/returns", value, 0), {"acme"})
    assert document.document_id == "acme\x1freturns"
    deleted = PlainRecord(b"acme/returns", None, 0)
    assert parse_document_key(deleted, {"acme"}) == document.document_id


def test_the_agent_writes_a_letter_for_each_broken_record_and_for_no_other() -> None:
    sent = Sent()
    agent = DocumentsAgent(KafkaConfig(), sent, ManualClock(1_000))
    records = [
        PlainRecord(b"returns", GOOD, 5),
        PlainRecord(b"returns", None, 6),
        PlainRecord(b"broken", b"{", 7),
        PlainRecord(None, None, 8),
    ]
    run = Run("tidemill.documents", 0, records)
    agent.prepare(run)
    assert sent.records == []
    asyncio.run(agent(run))
    assert [topic for topic, _ in sent.records] == ["tidemill.dead-letters"] * 2
    assert sent.records[0][1].value == b"{"
