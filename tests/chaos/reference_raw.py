"""What a raw record says, read once more and in another way than ingest does.

A record without a fault is an event. One with faults belongs on the dead letters; where it has
several, any of them is a right reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tests.chaos.topic_log import Logged

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_1990_MS = 631_152_000_000
MAX_BYTES = 1 << 20
INT64 = 1 << 63


class Said(NamedTuple):
    """A raw record's meaning; `fields` are those of its event, empty where it has faults."""

    record: Logged
    source: str
    faults: frozenset[str]
    fields: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Whose event it is."""
        return (self.fields["user_id"], self.fields["event_id"])


Check = Callable[[Any], str | None]
"""The fault of a value that is there, if it has one."""


class _Event(msgspec.Struct, forbid_unknown_fields=False):
    """Every field that any event may have, whatever stands in it."""

    user_id: Any = msgspec.UNSET
    item_id: Any = msgspec.UNSET
    ts: Any = msgspec.UNSET
    action: Any = msgspec.UNSET
    quantity: Any = msgspec.UNSET
    price: Any = msgspec.UNSET
    rating: Any = msgspec.UNSET
    title: Any = msgspec.UNSET
    text: Any = msgspec.UNSET
    event_id: Any = msgspec.UNSET
    recommendation_id: Any = msgspec.UNSET
    session_id: Any = msgspec.UNSET


class _Request(msgspec.Struct):
    request_id: Any = msgspec.UNSET
    user_id: Any = msgspec.UNSET
    k: Any = msgspec.UNSET
    surface: Any = msgspec.UNSET
    context_item: Any = msgspec.UNSET
    filters: Any = msgspec.UNSET
    query: Any = msgspec.UNSET


def an_id(value: Any) -> str | None:
    """The fault of an identifier."""
    if not isinstance(value, str):
        return "wrong_type"
    good = 1 <= len(value) <= 256 and value.isprintable() and value == value.strip(" ")
    return None if good else "bad_id"


def a_text(limit: int, too_long: str = "too_large") -> Check:
    """Text of at most so many characters."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "wrong_type"
        return too_long if len(value) > limit else None

    return check


def a_number(low: float, high: float, whole: bool = False) -> Check:
    """A number within a range."""

    def check(value: Any) -> str | None:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return "wrong_type"
        return None if low <= value <= high else "out_of_range"

    return check


def one_of(*words: str) -> Check:
    """One of a few words."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "wrong_type"
        return None if value in words else "out_of_range"

    return check


def or_null(check: Check) -> Check:
    """A value that may be null."""
    return lambda value: None if value is None else check(value)


def time_ms(value: Any) -> int | None:
    """Milliseconds since the epoch, `None` where it is no time."""
    if isinstance(value, int):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        if len(value.strip()) > len("2026-05-01"):
            return None
        moment = moment.replace(tzinfo=UTC)
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def a_time(now_ms: int) -> Check:
    """A time from 1990 to a day from now."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | str):
            return "wrong_type"
        ms = time_ms(value)
        return None if ms is not None and YEAR_1990_MS <= ms <= now_ms + DAY_MS else "bad_timestamp"

    return check


_IDS = {"user_id": an_id, "item_id": an_id}
_OPTIONAL_IDS = {"event_id": or_null(an_id), "recommendation_id": or_null(an_id)}
_SESSION = {"session_id": or_null(an_id)}
_CHECKS: dict[str, dict[str, Check]] = {
    "clicks": {**_IDS, "action": one_of("view", "click", "cart"), **_OPTIONAL_IDS, **_SESSION},
    "purchases": {
        **_IDS,
        "quantity": a_number(1, 1_000_000, whole=True),
        "price": or_null(a_number(0, 1e9)),
        **_OPTIONAL_IDS,
        **_SESSION,
    },
    "reviews": {
        **_IDS,
        "rating": or_null(a_number(1, 5)),
        "title": a_text(10_000),
        "text": a_text(100_000),
        **_OPTIONAL_IDS,
    },
}
_REQUEST_CHECKS: dict[str, Check] = {
    "request_id": an_id,
    "user_id": an_id,
    "k": a_number(1, 200, whole=True),
    "surface": a_text(64),
    "context_item": or_null(an_id),
    "query": or_null(a_text(1_000)),
}
_UNSAID = {
    "quantity": 1,
    "price": None,
    "rating": None,
    "title": "",
    "text": "",
    "recommendation_id": None,
    "session_id": None,
}
"""What an event holds where its record says nothing."""

_decode_event = msgspec.json.Decoder(_Event).decode
_decode_request = msgspec.json.Decoder(_Request).decode


def read_event(kind: str, record: Logged) -> Said:
    """Read a record of `clicks`, `purchases` or `reviews`, as of when it was sent."""
    source = _source(record)
    raw, fault = _decoded(_decode_event, record.value)
    if raw is None:
        return Said(record, source, frozenset({fault}), {})
    checks = {**_CHECKS[kind], "ts": a_time(record.timestamp_ms)}
    faults = _faults(raw, checks, required=("user_id", "item_id", "ts"))
    if faults:
        return Said(record, source, faults, {})
    given = {name: getattr(raw, name) for name in checks}
    said = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    fields = {**_UNSAID, **said}
    fields["ts_ms"] = time_ms(fields.pop("ts"))
    fields["kind"] = {
        "clicks": fields.pop("action", "click"),
        "purchases": "purchase",
        "reviews": "review",
    }[kind]
    if fields.get("event_id") is None:
        fields["event_id"] = source
    return Said(record, source, frozenset(), fields)


def read_request(record: Logged) -> Said:
    """Read a record of `requests`."""
    raw, fault = _decoded(_decode_request, record.value)
    if raw is None:
        return Said(record, record.name, frozenset({fault}), {})
    faults = set(_faults(raw, _REQUEST_CHECKS, required=("request_id", "user_id")))
    if raw.filters is not msgspec.UNSET:
        faults |= _filter_faults(raw.filters)
    fields = {} if faults else {"user_id": raw.user_id, "event_id": raw.request_id}
    return Said(record, record.name, frozenset(faults), fields)


def _filter_faults(filters: Any) -> set[str]:
    if not isinstance(filters, dict):
        return {"wrong_type"}
    faults: set[str] = set()
    for name, kinds in (
        ("category", str),
        ("brand", str),
        ("price_min", int | float),
        ("price_max", int | float),
    ):
        value = filters.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            faults.add("wrong_type")
    if faults:
        return faults
    low, high = filters.get("price_min"), filters.get("price_max")
    return {"out_of_range"} if low is not None and high is not None and low > high else set()


def _decoded(decode: Callable[[bytes], Any], value: bytes | None) -> tuple[Any, str]:
    if not value:
        return None, "empty"
    if len(value) > MAX_BYTES:
        return None, "too_large"
    try:
        return decode(value), ""
    except msgspec.ValidationError:
        return None, "not_an_object"
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, "not_json"


def _faults(raw: Any, checks: dict[str, Check], required: tuple[str, ...]) -> frozenset[str]:
    faults: set[str] = set()
    for name, check in checks.items():
        value = getattr(raw, name)
        if value is msgspec.UNSET:
            fault = "missing_field" if name in required else None
        else:
            fault = check(value)
        if fault is not None:
            faults.add(fault)
    return frozenset(faults)


def _source(record: Logged) -> str:
    """Where it was read first: a replayed dead letter says so in its last three headers."""
    last = record.headers[-3:]
    names = [name.removeprefix("tidemill.dlq.") for name, _ in last]
    if names == ["source", "first_failed_ms", "replay_count"]:
        source = (last[0][1] or b"").decode(errors="replace")
        topic, _, rest = source.rpartition("-")[0].rpartition("-")
        if topic == record.topic and rest.isdecimal():
            return source
    return record.name
