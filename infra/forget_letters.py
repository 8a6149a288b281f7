r"""Dead letters of users who are forgotten: theirs go, everybody else's stay, byte for byte.

A topic can only lose its oldest records. So the letters of others are written again, at the end,
and then all that was there before goes. A crash in between leaves letters twice; the next run drops
the copies, and a replay takes letters of one record for one anyway.

>>> whose(b'{"user_id": "ann", "ts": "never"}', (), frozenset({"ann"}))
True
>>> whose(b'{"user_id": "ann", "tenant": "acme"}', (), frozenset({"ann"}))
False
>>> whose(b'{"user_id": "bob", "text": "for ann"}', (), frozenset({"ann"}))
False
>>> whose(b'{"user_id": "ann", ', (), frozenset({"ann"})), whose(b"joanna", (), frozenset({"ann"}))
(True, False)
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from infra.demo.reading import read_topic
from infra.forget_topics import roll
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import decode_example
from stream.outgoing import Header
from stream.parse import MAX_WHOLE_CHARS
from stream.tenants import inside, plain
from stream.topics import Topics

FLUSH_TIMEOUT_S = 60.0


class _Named(msgspec.Struct):
    user_id: Any = None
    tenant: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


class Letters(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the letters: `unsure` are erased ones that only hold an id somewhere.

    They are erased by moving the partitions' beginnings to `before`.
    """

    erased: int = 0
    unsure: int = 0
    kept: int = 0
    before: dict[TopicPartition, int] = {}


def whose(
    value: bytes | None, headers: Iterable[Header], users: frozenset[str], key: bytes | None = None
) -> bool:
    """Whether a letter is about one of the users, or may be.

    A letter that names its user is that user's. One that can't be read is taken for a user's where
    the id stands in it as a word of its own, in the value, the key or a header: of a tenant's user
    the id alone is enough.
    """
    user_id = user_of(value)
    if user_id is not None:
        return user_id in users
    parts = [value or b"", key or b"", *(text or b"" for _, text in headers)]
    return any(pattern.search(part) for pattern in _patterns(users) for part in parts)


def user_of(value: bytes | None) -> str | None:
    """The user whom a record names, by the whole id, be it JSON or an example."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        named = _decode_named(value or b"")
        if isinstance(named.user_id, str) and 0 < len(named.user_id) <= MAX_WHOLE_CHARS:
            tenant = named.tenant if isinstance(named.tenant, str) else ""
            return inside(tenant, named.user_id)
    with contextlib.suppress(msgspec.DecodeError):
        return decode_example(value or b"").user_id
    return None


def keep_others(kafka: KafkaConfig, admin: KafkaAdminClient, users: frozenset[str]) -> Letters:
    """Write the letters of others again, so that all letters of before may go."""
    topic = Topics(kafka.topic_prefix).dead_letters
    hit = sorted({p for (_, p, _), letter in read_topic(kafka, topic) if _is_of(letter, users)})
    if not hit:
        return Letters()
    # 1. A boundary: what is written from now on is in other files.
    places = [TopicPartition(topic, partition) for partition in hit]
    upto = roll(admin, places)
    # 2. The letters of others, once each, to the end.
    erased = unsure = kept = 0
    seen: set[bytes] = set()
    failed: list[Exception] = []
    producer = KafkaProducer(**kafka.client_settings(), acks="all", enable_idempotence=True)
    try:
        for (_, partition, offset), letter in read_topic(kafka, topic):
            if offset >= upto.get(TopicPartition(topic, partition), 0):
                continue
            if _is_of(letter, users):
                erased += 1
                unsure += user_of(letter.value) is None
                continue
            digest = _digest(partition, letter)
            if digest not in seen:
                seen.add(digest)
                kept += 1
                sending = producer.send(
                    topic,
                    value=letter.value,
                    key=letter.key,
                    headers=list(letter.headers),
                    partition=partition,
                    timestamp_ms=letter.timestamp,
                )
                sending.add_errback(failed.append)
        producer.flush(FLUSH_TIMEOUT_S)
    finally:
        producer.close(timeout=5)
    if failed:
        msg = f"{len(failed)} letters of others were not taken by the broker ({failed[0]!r})"
        raise Unavailable(msg)
    return Letters(erased=erased, unsure=unsure, kept=kept, before=upto)


def _is_of(letter: Record, users: frozenset[str]) -> bool:
    return whose(letter.value, letter.headers, users, letter.key)


def _digest(partition: int, letter: Record) -> bytes:
    whole = (partition, letter.key, letter.value, letter.timestamp, list(letter.headers))
    return blake2b(msgspec.msgpack.encode(whole), digest_size=16).digest()


_IDS_PER_PATTERN = 500


@lru_cache(maxsize=4)
def _patterns(users: frozenset[str]) -> Sequence[re.Pattern[bytes]]:
    """The ids as words of their own, as UTF-8 and as JSON escapes them."""
    words = set()
    for user_id in users:
        for word in {user_id, plain(user_id)}:
            words |= {word.encode(), json.dumps(word)[1:-1].encode()}
    ordered = sorted(words)
    some = [ordered[n : n + _IDS_PER_PATTERN] for n in range(0, len(ordered), _IDS_PER_PATTERN)]
    before, after = rb"[A-Za-z0-9_\x1f-]", rb"[A-Za-z0-9_-]"
    return [
        re.compile(rb"(?<!%b)(?:%b)(?!%b)" % (before, b"|".join(map(re.escape, part)), after))
        for part in some
    ]
