"""A record of `documents` → a validated document, or `BadRecord`, as `stream.parse` does items."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from stream.asked import MAX_DOCUMENT_CHARS, Document
from stream.batching import Record
from stream.errors import BadRecord
from stream.lines import DECODE_FAULTS
from stream.parse import (
    MAX_NAME_CHARS,
    MAX_RECORD_BYTES,
    check_key,
    check_text,
    no_value,
    parse_key,
)
from stream.parse_faults import explain
from stream.tenants import ONE_SHOP, inside

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
    if value is None or len(value) > MAX_RECORD_BYTES:
        raise no_value(value)
    try:
        document = _decode(value)
    except DECODE_FAULTS as error:
        raise explain(value, error) from None
    check_key(record, "document_id", document.tenant, document.document_id, tenants)
    check_text("text", document.text, MAX_DOCUMENT_CHARS)
    check_text("title", document.title, MAX_NAME_CHARS)
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
