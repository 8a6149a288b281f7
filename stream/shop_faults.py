"""What a real stream has beside shoppers: broken records of every kind."""

from __future__ import annotations

from random import Random

import msgspec

from stream.errors import Reason
from stream.parse import TopicKind

FAULTS: dict[str, tuple[TopicKind, Reason]] = {
    "no value": ("clicks", "empty"),
    "empty value": ("clicks", "empty"),
    "plain text": ("clicks", "not_json"),
    "cut off": ("purchases", "not_json"),
    "wrong encoding": ("reviews", "not_json"),
    "deep nesting": ("clicks", "not_json"),
    "a list": ("clicks", "not_an_object"),
    "no user": ("clicks", "missing_field"),
    "no time": ("purchases", "missing_field"),
    "user is a number": ("clicks", "wrong_type"),
    "rating is text": ("reviews", "wrong_type"),
    "nine stars": ("reviews", "out_of_range"),
    "negative price": ("purchases", "out_of_range"),
    "unknown action": ("clicks", "out_of_range"),
    "time in seconds": ("clicks", "bad_timestamp"),
    "time in the future": ("clicks", "bad_timestamp"),
    "time without zone": ("reviews", "bad_timestamp"),
    "blank user": ("clicks", "bad_id"),
    "control character": ("clicks", "bad_id"),
    "endless text": ("reviews", "too_large"),
}
"""Each kind of fault, the topic that it appears on, and the reason that it is refused for."""

_YEAR_MS = 365 * 86_400_000


def break_record(rng: Random, fault: str, user_id: str, item_id: str, ts_ms: int) -> bytes | None:
    """Make a record with one fault.

    >>> break_record(Random(1), "nine stars", "ann", "tea", 5)
    b'{"user_id":"ann","item_id":"tea","ts":5,"rating":9}'
    """
    good: dict[str, object] = {"user_id": user_id, "item_id": item_id, "ts": ts_ms}
    value: bytes | None = msgspec.json.encode(good)
    match fault:
        case "no value":
            value = None
        case "empty value":
            value = b""
        case "plain text":
            value = f"{user_id} clicked {item_id}".encode()
        case "cut off":
            whole = msgspec.json.encode(good)
            value = whole[: rng.randrange(1, len(whole) - 1)]
        case "wrong encoding":
            value = msgspec.json.encode(good | {"text": "caf?"}).replace(b"?", b"\xe9")
        case "deep nesting":
            head = msgspec.json.encode(good)[:-1]
            value = head + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}"
        case "a list":
            value = msgspec.json.encode(list(good.values()))
        case "no user" | "no time":
            del good["user_id" if fault == "no user" else "ts"]
            value = msgspec.json.encode(good)
        case _:
            value = msgspec.json.encode(good | _wrong_field(fault, ts_ms))
    return value


def _wrong_field(fault: str, ts_ms: int) -> dict[str, object]:
    wrong: dict[str, dict[str, object]] = {
        "user is a number": {"user_id": 17},
        "rating is text": {"rating": "five"},
        "nine stars": {"rating": 9},
        "negative price": {"price": -4.5},
        "unknown action": {"action": "stare"},
        "time in seconds": {"ts": ts_ms // 1000},
        "time in the future": {"ts": ts_ms + _YEAR_MS},
        "time without zone": {"ts": "2026-05-01T09:00:00"},
        "blank user": {"user_id": " "},
        "control character": {"item_id": "tea\x00pot"},
        "endless text": {"text": "good " * 25_000},
    }
    return wrong[fault]
