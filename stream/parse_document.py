"""A record of `documents` → a validated document, or `BadRecord`, as `stream.parse` does items."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from stream.asked import MAX_DOCUMENT_CHARS, Document
from stream.batching import Record
from stream.errors import BadRecord
from stream.lines import DECODE_FAULTS
from stream.parse import MAX_NAME_CHARS, MAX_RECORD_BYTES, check_id, parse_key
from stream.parse_faults import explain
from stream.tenants import ONE_SHOP, check_tenant, inside, item_key, split_key

_decode = msgspec.json.Decoder(Document).decode


def parse_document(record: Record, tenants: Collection[str] = ONE_SHOP) -> Document:
    """Validate a document; its id is the whole one, which says whose it is.

    A tombstone has no document in it: ask `record.value is None` first, and `parse_document_key`.

    >>> from stream.batching import PlainRecord
    >>> value = b'{"document_id": "returns", "title": " Returns ", "text": "Within 30 days."}'
    >>> parse_document(PlainRecord(b"returns", value, 0)).title
    'Returns'
    >>> parse_document(PlainRecord(b"returns", b'{"document_id": "returns"}', 0))
    Traceback (most recent call last):
        ...
    stream.errors.BadRecord: `text` must be given, got ['document_id']
    """
    value = record.value
    if value is None:
        raise BadRecord(field="value", value=None, wanted="a JSON object", reason="empty")
    if len(value) > MAX_RECORD_BYTES:
        wanted = f"at most {MAX_RECORD_BYTES} bytes long"
        raise BadRecord(
            field="value", value=f"{len(value)} bytes", wanted=wanted, reason="too_large"
        )
    try:
        document = _decode(value)
    except DECODE_FAULTS as error:
        raise explain(value, error) from None
    check_tenant(document.tenant, tenants)
    check_id("document_id", document.document_id)
    key = item_key(document.tenant, document.document_id)
    if not document.tenant and split_key(key, tenants).tenant:
        wanted = "another id: its key would be another shop's"
        raise BadRecord(field="document_id", value=key, wanted=wanted, reason="bad_id")
    if record.key is not None and record.key != key.encode():
        wanted = f"{key!r}: the topic is compacted by it"
        raise BadRecord(field="key", value=record.key[:300], wanted=wanted, reason="bad_id")
    for field, text, most in (
        ("text", document.text, MAX_DOCUMENT_CHARS),
        ("title", document.title, MAX_NAME_CHARS),
    ):
        if len(text) > most:
            raise BadRecord(field, f"{len(text)} characters", f"at most {most} long", "too_large")
    if not document.text.strip():
        field = "text"
        raise BadRecord(field, document.text[:100], "something to read", "missing_field")
    return msgspec.structs.replace(
        document,
        document_id=inside(document.tenant, document.document_id),
        title=document.title.strip(),
    )


def parse_document_key(record: Record, tenants: Collection[str] = ONE_SHOP) -> str:
    """Read from a tombstone's key which document it deletes, as its id is inside."""
    return inside(*parse_key(record, "document_id", tenants))
