"""Records as no shop should send them, and as some shop will: what fuzz tests and benches feed.

`VALID` are good records of every topic that a shop writes, `HOSTILE` bytes that are rubbish on any
of them or only look like it. `mutants` draws as many as wanted from both, by seed.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator, Mapping

import msgspec

NOW_MS = 1_777_626_000_000
"""The time of day for whoever reads these records: 2026-05-01, 09:00 UTC."""

_EVENT: dict[str, object] = {"user_id": "ann", "item_id": "tea-1", "ts": NOW_MS}

_GOOD: Mapping[str, list[dict[str, object]]] = {
    "clicks": [
        _EVENT,
        _EVENT | {"ts": "2026-05-01T09:00:00Z", "action": "cart", "event_id": "e-1"},
        _EVENT | {"session_id": "s", "recommendation_id": "r-1-2", "extra": {"a": [1, None]}},
    ],
    "purchases": [_EVENT | {"quantity": 3, "price": 9.5}, _EVENT | {"price": None}],
    "reviews": [_EVENT | {"rating": 4.5, "title": "good", "text": "good tea 🫖" * 20}],
    "items": [
        {"item_id": "tea-1", "title": "Tea", "category": "Kitchen > Tea", "price": 3},
        {"item_id": "tea-1", "category": ["Kitchen"], "image_vector": [0.5, -1e9]},
    ],
    "requests": [
        {"request_id": "r", "user_id": "ann", "k": 5, "filters": {"price_max": 10}},
        {"request_id": "r", "user_id": "ann", "query": "green tea", "surface": "page"},
    ],
}

VALID: Mapping[str, list[bytes]] = {
    topic: [msgspec.json.encode(fields) for fields in found] for topic, found in _GOOD.items()
}

_IDS = [
    "", " ", " ann", "ann\n2030 ERROR forged", "a\x00b", "\x1b[2J", "ann\u202e", "\ufeff",
    "é" * 256, "é" * 257, "\U0001f980" * 256, "a" * 10_000, "\u2028", "ann\u0085", "\ud7ff",
    "\x7f", "tidemill.clicks-0-1", "../../etc/passwd", "'; drop table users; --",
]  # fmt: skip

_TIMES: list[object] = [
    0, -1, 1, 10**10, 10**15, 10**18, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 1.5, NOW_MS + 0.5,
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00",
    "9999-12-31", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
    "2026-05-01T24:00:00Z", "2026-05-01T09:00:60Z", "2026-05-01T09:00:00",
    "2026-05-01T09:00:00+99:99", "2026-W18-5", "20260501T090000Z", "１７７７６２６００００００",
    str(NOW_MS), "", "now", "T" * 100_000, True, None, [], {},
]  # fmt: skip

_NUMBERS: list[object] = [
    0, -1, 1, 5, 6, 200, 201, "5", "NaN", 1e308, -1e308, 5e-324, 2**53 + 1, 10**30, True,
    None, [5], {"n": 5},
]  # fmt: skip

_TEXTS: list[object] = [
    "", "\x00", "\n" * 1_000, "a" * 100_000, "a" * 100_001, "é\u0301" * 50, "<script>", 7,
    None, ["a"],
]  # fmt: skip

_FIELDS: Mapping[str, list[object]] = {
    **dict.fromkeys(("user_id", "item_id", "event_id", "request_id"), [*_IDS, 7, None]),
    **dict.fromkeys(("recommendation_id", "context_item", "session_id"), [*_IDS, [], 7]),
    "ts": _TIMES,
    **dict.fromkeys(("quantity", "price", "rating", "k", "price_min", "price_max"), _NUMBERS),
    **dict.fromkeys(("title", "text", "description", "brand", "query", "surface"), _TEXTS),
    "action": ["view", "VIEW", "", None, 1, ["click"]],
    "category": ["", ">", "a/" * 50, ["a"] * 20, [1], {"a": 1}, None, "\x00>\x00", ["", " "]],
    "available": [True, 0, "yes", None],
    "image_vector": [[], [1] * 8_193, [None], ["1"], [1e400], "AAAA", [10**40]],
    "filters": [{}, [], None, {"category": 1}, {"price_min": 2, "price_max": 1}, {"brand": ""}],
}  # fmt: skip
"""What each field is set to, one at a time."""

_PLAIN = VALID["clicks"][0]

HOSTILE: tuple[bytes, ...] = (
    b"", b" ", b"\x00", b"null", b"true", b"0", b'"tea"', b"[]", b"{}", b"[{}]", b"{", b"}", b"{,}",
    b'{"user_id"}', b'{"user_id":}', b"{'user_id': 'ann'}", _PLAIN + b",", _PLAIN + _PLAIN,
    _PLAIN[:-1], _PLAIN[:-1] + b",}", b"// note\n" + _PLAIN, b"\xef\xbb\xbf" + _PLAIN,
    _PLAIN.decode().encode("utf-16"), _PLAIN.decode().encode("utf-32"), b"\xff" + _PLAIN,
    _PLAIN.replace(b"ann", b"a\xffn"), _PLAIN.replace(b"ann", b"a\xc0\xaf"),
    _PLAIN.replace(b"ann", b"\xed\xa0\x80"), _PLAIN.replace(b"ann", b"\\ud800"),
    _PLAIN.replace(b"ann", b"\\udc00\\ud800"), _PLAIN.replace(b"ann", b"\\u0000"),
    _PLAIN.replace(b"ann", b"a\nn"), _PLAIN.replace(b"1777626000000", b"NaN"),
    _PLAIN.replace(b"1777626000000", b"Infinity"), _PLAIN.replace(b"1777626000000", b"-Infinity"),
    _PLAIN.replace(b"1777626000000", b"1e999"), _PLAIN.replace(b"1777626000000", b"-0"),
    _PLAIN.replace(b"1777626000000", b"01777626000000"),
    _PLAIN.replace(b"1777626000000", b"1" * 5_000), _PLAIN.replace(b"1777626000000", b"1.7e12"),
    _PLAIN[:-1] + b',"user_id":"bob"}', _PLAIN[:-1] + b',"extra":' + b"[" * 200 + b"]" * 200 + b"}",
    gzip.compress(_PLAIN, mtime=0), zlib.compress(_PLAIN), b"\x28\xb5\x2f\xfd" + _PLAIN,
    b"\x04\x22\x4d\x18", b"\x00\x00\x00\x00\x01" + _PLAIN, b"Obj\x01", b"<user>ann</user>",
    b"user_id=ann&item_id=tea", msgspec.msgpack.encode(_EVENT), bytes(range(256)),
    *(
        json.dumps(json.loads(good) | {field: value}).encode()
        for topic in VALID for good in VALID[topic][-1:]
        for field, values in _FIELDS.items() for value in values
    ),
)  # fmt: skip
"""Small ones: at most some hundred kilobytes each."""


_PIECES = (
    b'"', b"{", b"}", b"[", b",", b":", b"\\", b"\\u", b"\x00", b"\n", b"null", b"-", b"1e9",
    b"NaN", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xae", b'"ts":0,', b'"user_id":"",',
)  # fmt: skip
"""What is put into a record to damage it."""


def huge() -> Iterator[bytes]:
    """The ones that cost something: deep, and large."""
    for depth in (600, 5_000, 400_000):
        yield b"[" * depth
        yield b'{"user_id":' * depth + b"1" + b"}" * depth
        yield _PLAIN[:-1] + b',"extra":' + b"[" * depth + b"]" * depth + b"}"
    for megabytes in (1, 10):
        text = b"x" * (megabytes << 20)
        yield text
        yield _PLAIN[:-1] + b',"text":"' + text + b'"}'
        yield _PLAIN.replace(b"ann", text)
        yield _PLAIN.replace(b"1777626000000", b"1" * (megabytes << 20))
    yield _PLAIN[:-1] + b"".join(b',"f%d":1' % n for n in range(60_000)) + b"}"
    yield b'{"item_id":"tea","image_vector":[' + b"1," * 400_000 + b"1]}"
    yield b'{"item_id":"tea","category":[' + b'"a",' * 200_000 + b'"a"]}'


def mutants(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Draw a topic and a damaged record of it, so often; about one in eight is left whole."""
    draw = random.Random(seed)
    small = [value for value in HOSTILE if len(value) < 2_000]
    topics = sorted(VALID)
    for _ in range(count):
        topic = draw.choice(topics)
        value = draw.choice(VALID[topic] if draw.random() < 0.7 else small)
        for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 8))):
            value = _damaged(value, draw)
        yield topic, value


def _damaged(value: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(value) + 1)
    other = draw.randrange(len(value) + 1)
    low, high = min(at, other), max(at, other)
    match draw.randrange(6):
        case 0:
            return value[:at]
        case 1:
            return value[:at] + draw.choice(_PIECES) + value[at:]
        case 2:
            return value[:at] + bytes((draw.randrange(256),)) + value[at + 1 :]
        case 3:
            return value[:low] + value[high:]
        case 4:
            return value[:high] + value[low:]
        case _:
            return value[:at] + draw.choice(_PIECES) + value[at + 1 :]
