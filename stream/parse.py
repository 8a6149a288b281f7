"""Bytes from a raw topic → a validated struct, or `BadRecord`: nothing else ever comes out.

The decoder checks types and ranges; what it can't know is checked here: identifiers that would
break a key or a log line, times that can't be, texts without end. Unknown fields are ignored, so
that a shop may send more than Tidemill reads. The good path is short on purpose; the words for a
refusal are found in `stream.parse_faults`, and only after a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, TypeVar

import msgspec

from stream.batching import Record
from stream.errors import BadRecord
from stream.events import AttributeValue, Click, Event, Item, Purchase, Request, Review, Tenant
from stream.lines import DECODE_FAULTS
from stream.parse_faults import ID_WANTED, explain
from stream.parse_time import checked_time_ms
from stream.tenants import (
    ONE_SHOP,
    Whole,
    check_tenant,
    inside,
    into,
    item_key,
    split_key,
)

TopicKind = Literal["clicks", "purchases", "reviews"]
"""Which raw topic a record came from, without the prefix."""

MAX_RECORD_BYTES = 1_048_576
"""Kafka's own default limit: a larger value can only come from a broker set up otherwise."""

MAX_TEXT_CHARS = 100_000
"""A review or description: ten times the longest real ones; beyond it, encoding takes seconds."""

MAX_NAME_CHARS = 10_000
"""A title, a brand, or one level of a category."""

MAX_ID_CHARS = 256
MAX_WHOLE_CHARS = MAX_ID_CHARS + 33
"""Of an id that carries its tenant, as it is inside."""

MAX_CATEGORY_LEVELS = 16
MAX_IMAGE_VECTOR = 8_192
MAX_ATTRIBUTES = 512
MAX_ATTRIBUTE_NAME = 128
MAX_ATTRIBUTE_CHARS = 10_000
MAX_ATTRIBUTES_CHARS = 65_536
"""Names and values of an item's attributes together: every serving process keeps them."""

RAW_DECODERS: dict[TopicKind, msgspec.json.Decoder[Any]] = {
    "clicks": msgspec.json.Decoder(Click),
    "purchases": msgspec.json.Decoder(Purchase),
    "reviews": msgspec.json.Decoder(Review),
}
_decode_item = msgspec.json.Decoder(Item).decode
_decode_request = msgspec.json.Decoder(Request).decode


def parse_event(
    topic_kind: TopicKind,
    value: bytes | None,
    source: str,
    received_ms: int,
    now_ms: int,
    *,
    replayed: bool = False,
    tenants: Collection[str] = ONE_SHOP,
) -> Event:
    """Validate a record of `clicks`, `purchases` or `reviews`.

    Parameters
    ----------
    topic_kind
        The raw topic's name without its prefix: it decides the schema.
    value
        The record's value, any bytes.
    source
        `topic-partition-offset`: the event's id where the producer gave none.
    received_ms
        The record's Kafka timestamp.
    now_ms
        The time of day: an event from more than one day ahead of it is refused.
    replayed
        Whether the record was a dead letter before, and `source` is where it was read first.
    tenants
        The shops that the record may name as its own; the event's ids then carry it.

    Raises
    ------
    BadRecord
        Whatever is wrong with it.

    Examples
    --------
    >>> value = b'{"user_id": "ann", "item_id": "tea", "ts": "2026-05-01T09:00:00Z"}'
    >>> event = parse_event("clicks", value, "clicks-0-7", 1_777_626_000_500, 1_777_626_001_000)
    >>> event.event_id, event.kind, event.ts_ms
    ('clicks-0-7', 'click', 1777626000000)
    >>> parse_event("clicks", b'{"user_id": "ann", "item_id": "tea"}', "clicks-0-8", 0, 0)
    Traceback (most recent call last):
        ...
    stream.errors.BadRecord: `ts` must be given, got ['user_id', 'item_id']
    """
    if value is None or len(value) > MAX_RECORD_BYTES:
        raise no_value(value)
    try:
        raw = RAW_DECODERS[topic_kind].decode(value)
    except DECODE_FAULTS as error:
        raise explain(value, error) from None

    if tenant := raw.tenant:
        check_tenant(tenant, tenants)
    user_id, item_id = raw.user_id, raw.item_id
    event_id, recommendation_id = raw.event_id, raw.recommendation_id
    if not (user_id.isprintable() and " " != user_id[0] and " " != user_id[-1]):
        raise BadRecord(field="user_id", value=user_id, wanted=ID_WANTED, reason="bad_id")
    if not (item_id.isprintable() and " " != item_id[0] and " " != item_id[-1]):
        raise BadRecord(field="item_id", value=item_id, wanted=ID_WANTED, reason="bad_id")
    if event_id is None:
        event_id = source
    else:
        check_id("event_id", event_id)
    if recommendation_id is not None:
        check_id("recommendation_id", recommendation_id)
    if topic_kind == "reviews":
        check_text("text", raw.text, MAX_TEXT_CHARS)
        check_text("title", raw.title, MAX_NAME_CHARS)
    elif raw.session_id is not None:
        check_id("session_id", raw.session_id)
    ts_ms = checked_time_ms(raw.ts, now_ms)
    good = (raw, event_id, ts_ms, source, received_ms)
    event = RAW_EVENTS[topic_kind]([good], replayed=replayed)[0]
    return into(event, tenant, *OWN_IDS) if tenant else event


OWN_IDS = ("user_id", "item_id")
"""The ids of an event that say inside whose they are. Its own need not: they are a user's."""

Raw = TypeVar("Raw")
Good = tuple[Raw, str, int, str, int]
"""A decoded record, and its event's id, time, source, and Kafka's timestamp. A function call for
each of them would be a tenth of what ingest does with a click."""


def _clicks(good: Iterable[Good[Click]], *, replayed: bool = False) -> list[Event]:
    return [
        Event(
            event_id=event_id,
            user_id=raw.user_id,
            item_id=raw.item_id,
            kind=raw.action,
            ts_ms=ts_ms,
            source=source,
            received_ms=received_ms,
            recommendation_id=raw.recommendation_id,
            session_id=raw.session_id,
            replayed=replayed,
        )
        for raw, event_id, ts_ms, source, received_ms in good
    ]


def _purchases(good: Iterable[Good[Purchase]], *, replayed: bool = False) -> list[Event]:
    return [
        Event(
            event_id=event_id,
            user_id=raw.user_id,
            item_id=raw.item_id,
            kind="purchase",
            ts_ms=ts_ms,
            source=source,
            received_ms=received_ms,
            quantity=raw.quantity,
            price=raw.price,
            recommendation_id=raw.recommendation_id,
            session_id=raw.session_id,
            replayed=replayed,
        )
        for raw, event_id, ts_ms, source, received_ms in good
    ]


def _reviews(good: Iterable[Good[Review]], *, replayed: bool = False) -> list[Event]:
    return [
        Event(
            event_id=event_id,
            user_id=raw.user_id,
            item_id=raw.item_id,
            kind="review",
            ts_ms=ts_ms,
            source=source,
            received_ms=received_ms,
            rating=raw.rating,
            title=raw.title,
            text=raw.text,
            recommendation_id=raw.recommendation_id,
            replayed=replayed,
        )
        for raw, event_id, ts_ms, source, received_ms in good
    ]


RAW_EVENTS: dict[TopicKind, Callable[..., list[Event]]] = {
    "clicks": _clicks,
    "purchases": _purchases,
    "reviews": _reviews,
}
"""What makes events of decoded records that were found good, and of what stands beside them."""


def parse_item(record: Record, tenants: Collection[str] = ONE_SHOP) -> Item:
    r"""Validate a record of `items`: texts stripped, the category as a path of names.

    Its id is the shop's own, and its tenant is one of those given. The topic is compacted by key:
    a tenant's key is `tenant/item_id`, and no item of the shop without a name can look like one.

    A tombstone has no item in it and is refused as empty: ask `record.value is None` first, and
    `parse_item_key` for the item that it deletes.

    >>> from stream.batching import PlainRecord
    >>> value = b'{"item_id": "tea", "title": " Green tea\\n", "category": "Kitchen > Tea"}'
    >>> item = parse_item(PlainRecord(b"tea", value, 0))
    >>> item.title, item.category
    ('Green tea', ('Kitchen', 'Tea'))
    """
    value = record.value
    if value is None or len(value) > MAX_RECORD_BYTES:
        raise no_value(value)
    try:
        item = _decode_item(value)
    except DECODE_FAULTS as error:
        raise explain(value, error) from None
    check_key(record, "item_id", item.tenant, item.item_id, tenants)
    check_text("title", item.title, MAX_NAME_CHARS)
    check_text("description", item.description, MAX_TEXT_CHARS)
    check_text("brand", item.brand, MAX_NAME_CHARS)
    if item.image_vector is not None and not 0 < len(item.image_vector) <= MAX_IMAGE_VECTOR:
        wanted = f"1 to {MAX_IMAGE_VECTOR} numbers"
        raise BadRecord(
            field="image_vector",
            value=f"{len(item.image_vector)} numbers",
            wanted=wanted,
            reason="too_large",
        )
    _check_attributes(item.attributes)
    return msgspec.structs.replace(
        item,
        title=item.title.strip(),
        description=item.description.strip(),
        brand=item.brand.strip(),
        category=parse_category(item.category),
    )


def parse_item_key(record: Record, tenants: Collection[str] = ONE_SHOP) -> str:
    r"""Read the item from a record's key: what a tombstone of `items` deletes, as it is inside.

    >>> from stream.batching import PlainRecord
    >>> parse_item_key(PlainRecord(b"tea", None, 0))
    'tea'
    >>> parse_item_key(PlainRecord(b"acme/tea", None, 0), {"acme"})
    'acme\x1ftea'
    """
    return inside(*parse_key(record, "item_id", tenants))


def parse_key(record: Record, what: str, tenants: Collection[str] = ONE_SHOP) -> Whole:
    """Read from a record's key what a tombstone is about, and whose that is."""
    field = "key"
    if not record.key:
        raise BadRecord(field, record.key, f"the {what}", "missing_field")
    try:
        key = record.key.decode()
    except UnicodeError:
        raise BadRecord(field, record.key[:300], f"the {what} as UTF-8 text", "bad_id") from None
    whole = split_key(key, tenants)
    if len(whole.name) > MAX_ID_CHARS:
        raise BadRecord(field, whole.name[:300], ID_WANTED, "bad_id")
    check_id(field, whole.name)
    return whole


def parse_request(record: Record, tenants: Collection[str] = ONE_SHOP) -> Request:
    """Validate a record of `requests`; its ids are the shop's own, its tenant one of those given.

    >>> from stream.batching import PlainRecord
    >>> value = b'{"request_id": "r1", "user_id": "ann", "k": 5}'
    >>> parse_request(PlainRecord(b"ann", value, 0)).k
    5
    """
    value = record.value
    if value is None or len(value) > MAX_RECORD_BYTES:
        raise no_value(value)
    try:
        request = _decode_request(value)
    except DECODE_FAULTS as error:
        raise explain(value, error) from None
    check_tenant(request.tenant, tenants)
    check_id("request_id", request.request_id)
    check_id("user_id", request.user_id)
    if request.context_item is not None:
        check_id("context_item", request.context_item)
    if request.conversation_id is not None:
        check_id("conversation_id", request.conversation_id)
    low, high = request.filters.price_min, request.filters.price_max
    if low is not None and high is not None and low > high:
        wanted = f"at least price_min, which is {low}"
        raise BadRecord(field="filters.price_max", value=high, wanted=wanted, reason="out_of_range")
    return request


def parse_category(category: str | tuple[str, ...]) -> tuple[str, ...]:
    """Cut a category into its levels, the widest first.

    >>> parse_category("Home & Garden > Lamps"), parse_category("Kitchen/Tea")
    (('Home & Garden', 'Lamps'), ('Kitchen', 'Tea'))
    >>> parse_category("TV/Video > Cables"), parse_category(("Kitchen", " Tea "))
    (('TV/Video', 'Cables'), ('Kitchen', 'Tea'))
    """
    if isinstance(category, str):
        category = tuple(category.split(">" if ">" in category else "/"))
    levels = tuple(level for part in category if (level := part.strip()))
    if len(levels) > MAX_CATEGORY_LEVELS:
        wanted = f"at most {MAX_CATEGORY_LEVELS} levels"
        raise BadRecord(
            field="category", value=f"{len(levels)} levels", wanted=wanted, reason="too_large"
        )
    for level in levels:
        check_text("category", level, MAX_NAME_CHARS)
    return levels


def check_key(
    record: Record, field: str, tenant: Tenant, name: str, tenants: Collection[str]
) -> None:
    """Refuse an id with which a record could stand for another one in its compacted topic."""
    check_tenant(tenant, tenants)
    check_id(field, name)
    key = item_key(tenant, name)
    if not tenant and (like := split_key(key, tenants)).tenant:
        thing = field.removesuffix("_id")
        wanted = f"another id: its key would be that of {like.tenant}'s {thing} {like.name!r}"
        raise BadRecord(field, key, wanted, "bad_id")
    if record.key is not None and record.key != key.encode():
        wanted = f"{key!r}: the topic is compacted by it"
        raise BadRecord(field="key", value=record.key[:300], wanted=wanted, reason="bad_id")


def check_id(field: str, value: str) -> None:
    """Refuse an id, of a length that its type allows, with characters that an id can't have."""
    if not (value.isprintable() and " " != value[0] and " " != value[-1]):
        raise BadRecord(field, value, ID_WANTED, "bad_id")


def check_text(field: str, value: str, limit: int) -> None:
    """Refuse a text without end."""
    if len(value) > limit:
        raise BadRecord(field, f"{len(value)} characters", f"at most {limit} long", "too_large")


def _check_attributes(attributes: dict[str, AttributeValue]) -> None:
    """Refuse more attributes than every serving process should have to keep."""
    field = "attributes"
    if len(attributes) > MAX_ATTRIBUTES:
        wanted = f"at most {MAX_ATTRIBUTES} attributes"
        raise BadRecord(field, f"{len(attributes)} attributes", wanted, "too_large")
    chars = 0
    for name, value in attributes.items():
        if not name or not name.isprintable() or len(name) > MAX_ATTRIBUTE_NAME:
            wanted = f"names of 1 to {MAX_ATTRIBUTE_NAME} printable characters"
            raise BadRecord(field, name[:300], wanted, "wrong_type")
        text = value if isinstance(value, str) else ""
        check_text(f"attributes.{name}", text, MAX_ATTRIBUTE_CHARS)
        chars += len(name) + len(text)
    if chars > MAX_ATTRIBUTES_CHARS:
        wanted = f"at most {MAX_ATTRIBUTES_CHARS} characters in all"
        raise BadRecord(field, f"{chars} characters", wanted, "too_large")


def no_value(value: bytes | None) -> BadRecord:
    """What is wrong with a value that isn't there, or is too large."""
    if value is None:
        return BadRecord("value", None, "a JSON object", "empty")
    wanted = f"at most {MAX_RECORD_BYTES} bytes long"
    return BadRecord("value", f"{len(value)} bytes", wanted, "too_large")
