"""What a decoder's refusal means for the producer: which field, what was wanted, what came."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from stream.errors import BadRecord, Reason

T = TypeVar("T")

ID_WANTED = "1 to 256 printable characters with no space around them"
TS_WANTED = "milliseconds since the epoch, or ISO 8601 text with its zone"

WANTED = {
    "user_id": ID_WANTED,
    "item_id": ID_WANTED,
    "event_id": ID_WANTED,
    "session_id": ID_WANTED,
    "request_id": ID_WANTED,
    "recommendation_id": ID_WANTED,
    "context_item": ID_WANTED,
    "ts": TS_WANTED,
    "action": "view, click or cart",
    "quantity": "a whole number from 1 to 1000000",
    "price": "a number from 0 to 1e9",
    "price_min": "a number",
    "price_max": "a number",
    "rating": "a number from 1 to 5",
    "title": "text",
    "text": "text",
    "description": "text",
    "brand": "text",
    "category": "text such as 'Kitchen > Tea', or a list of such names",
    "available": "true or false",
    "image_vector": "a list of numbers",
    "attributes": "an object of names with texts, numbers, true or false",
    "kind": "product, content or ad",
    "bid": "a number from 0 to 1e9",
    "budget": "a number from 0 to 1e12",
    "gtin": "text of at most 32 characters",
    "k": "a whole number from 1 to 200",
    "surface": "text of at most 64 characters",
    "query": "text of at most 1000 characters",
    "sort": "relevance, price, price_down or newest",
    "offset": "a whole number from 0 to 2000",
    "facets": "true or false",
    "suggest": "true or false",
    "explain": "true or false",
    "question": "text of 1 to 2000 characters",
    "conversation_id": ID_WANTED,
    "document_id": ID_WANTED,
    "language": "a language's code, such as en",
    "url": "text of at most 2000 characters",
    "filters": "an object",
    "tenant": "the name of a tenant",
}
"""What is right for each field of a raw record."""

_MISSING = re.compile(r"missing required field `(\w+)`")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_HEAD = 100


def explain(value: bytes, error: Exception) -> BadRecord:
    """Turn what the decoder raised over `value` into the refusal that a producer can act on.

    >>> value = b'{"rating": 9}'
    >>> fault = msgspec.ValidationError("Expected `float` <= 5.0 - at `$.rating`")
    >>> print(explain(value, fault))
    `rating` must be a number from 1 to 5, got 9
    """
    if isinstance(error, RecursionError):
        return BadRecord("value", value[:_HEAD], "JSON that is less deeply nested", "not_json")
    if isinstance(error, UnicodeError):
        return BadRecord("value", value[:_HEAD], "JSON in UTF-8", "not_json")
    if not isinstance(error, msgspec.ValidationError):
        wanted = f"JSON ({error})"
        return BadRecord("value", value[:_HEAD], wanted, "not_json" if value else "empty")

    text = str(error)
    at = _PATH.search(text)
    path = at.group(1) if at else ""
    found = _read(value, path)
    if missing := _MISSING.search(text):
        field = f"{path}.{missing.group(1)}" if path else missing.group(1)
        given = list(found)[:20] if isinstance(found, dict) else found
        return BadRecord(field, given, "given", "missing_field")
    if not path:
        return BadRecord("value", found, "a JSON object", "not_an_object")
    name = re.split(r"[.\[]", path)[-1 if "." in path else 0]
    wanted = WANTED.get(name, text[: at.start()] if at else text)
    return BadRecord(path, found, wanted, _reason(text, name))


def _reason(text: str, name: str) -> Reason:
    if ", got `" in text:
        return "wrong_type"
    if "of length" in text:
        return "bad_id" if WANTED.get(name) == ID_WANTED else "too_large"
    return "out_of_range"


def _read(value: bytes, path: str) -> object:
    """What stands at `path`, shortened where it is long; a note if it can't be read."""
    try:
        found = msgspec.json.decode(value)
        for step in re.findall(r"[^.\[\]]+", path):
            found = found[int(step)] if isinstance(found, list) else found[step]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "something unreadable"
    return found[: 4 * _HEAD] if isinstance(found, str | list) else found


def decode_own(value: bytes | None, decode: Callable[[bytes], T], what: str, writer: str) -> T:
    """Decode a record of a topic that we write ourselves.

    >>> from stream.events import decode_reading
    >>> try:
    ...     decode_own(b"?", decode_reading, "a reading", "the learner")
    ... except BadRecord as error:
    ...     print(error)
    `value` must be JSON, got b'?'

    Raises
    ------
    BadRecord
        If it is none.
    """
    field = "value"
    if value is None:
        raise BadRecord(field, None, what, "empty")
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        wanted = f"{what} as {writer} writes it ({error})"
        raise BadRecord(field, value, wanted, "wrong_type") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(field, value, "JSON", "not_json") from error


def decode_wish(value: bytes, decode: Callable[[bytes], T], wanted: str) -> T:
    """Decode a small record in which a shop says what it wants done with an id.

    >>> from stream.events import decode_forget
    >>> try:
    ...     decode_wish(b"{}", decode_forget, '{"user_id": "…"}')
    ... except BadRecord as error:
    ...     print(error)
    `value` must be {"user_id": "…"} (Object missing required field `user_id`), got b'{}'

    Raises
    ------
    BadRecord
        If it is none; what is right is in it.
    """
    field, shown = "value", value[:300]
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise BadRecord(field, shown, f"{wanted} ({error})", "wrong_type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(field, shown, wanted, "not_json") from error
