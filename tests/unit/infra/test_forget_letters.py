"""Whose a dead letter is: the user's, somebody else's, or nobody's who can be told."""

from __future__ import annotations

import json
from random import Random

import pytest

from infra.forget_letters import whose
from stream.batching import PlainRecord
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.events import Example, msgpack_encode

ADA = frozenset({"ada-7f", "größe 12"})
ERROR = BadRecord("rating", 9, "a number from 1 to 5", "out_of_range")


def letter(value: bytes | None, key: bytes | None = None, **headers: bytes) -> bool:
    """Whether the letter that a role makes of a record counts as one of the users'."""
    record = PlainRecord(key, value, 7, 0, list(headers.items()))
    made = dead_letter(record, "reviews", 0, "ingest", ERROR, 5)
    return whose(made.value, made.headers, ADA, made.key)


@pytest.mark.parametrize(
    ("value", "key", "header", "theirs"),
    [
        (b'{"user_id": "ada-7f", "rating": 9}', None, b"", True),
        (b'{"user_id": "bob", "text": "ada-7f said so"}', b"ada-7f", b"ada-7f", False),
        (b'{"user_id": "ada-7f", "rating": ', None, b"", True),
        (json.dumps({"user_id": "größe 12"}).encode()[:-1], None, b"", True),
        ('{"user_id": "größe 12", '.encode(), None, b"", True),
        (b"?", b"ada-7f", b"", True),
        (b"?", None, b"for ada-7f, by mail", True),
        (None, b"ada-7f", b"", True),
        (b"nada-7f", None, b"", False),
        (b"ada-7f2", None, b"", False),
        (b"ada-7", None, b"", False),
        (b"?", b"bob", b"", False),
    ],
)
def test_whose_it_is(value: bytes | None, key: bytes | None, header: bytes, theirs: bool) -> None:
    assert letter(value, key, note=header) is theirs


@pytest.mark.parametrize("user_id", ["ada-7f", "a" * 50])
def test_the_id_is_found_in_a_record_of_our_own(user_id: str) -> None:
    example = Example(
        event_id="e",
        user_id=user_id,
        item_id="pot",
        kind="view",
        ts_ms=0,
        received_ms=0,
        partition=0,
        offset=0,
        history=(),
        user_events=0,
    )
    value = msgpack_encode(example)
    assert whose(value, (), frozenset({user_id}))
    assert not whose(value, (), frozenset({"bob"}))


def test_many_users_are_looked_for_at_once() -> None:
    users = frozenset(f"{Random(n).getrandbits(64):016x}" for n in range(1_300))
    assert all(whose(b'{"broken": "%b' % user.encode(), (), users) for user in list(users)[::100])
    assert not whose(b'{"broken": "0123456789abcdef', (), users)


@pytest.mark.parametrize(
    ("value", "key", "theirs"),
    [
        (b'{"user_id": "ada", "tenant": "acme"}', None, True),
        (b'{"user_id": "acme\\u001fada"}', None, True),
        (b'{"user_id": "ada"}', b"ada", False),
        (b'{"user_id": "ada", "tenant": "brew"}', b"ada", False),
        (b'{"user_id": "brew\\u001fada"}', None, False),
        (None, b"acme\x1fada", True),
        (None, b"brew\x1fada", False),
        (b'{"user_id": "ada", ', None, True),  # whose it was can't be told
    ],
)
def test_a_user_of_one_shop_is_not_the_user_of_another(
    value: bytes | None, key: bytes | None, theirs: bool
) -> None:
    assert whose(value, (), frozenset({"acme\x1fada"}), key) is theirs


@pytest.mark.parametrize("key", [b"acme\x1fada", b"brew\x1fada"])
def test_nor_is_the_one_of_the_shop_without_a_name(key: bytes) -> None:
    assert not whose(None, (), frozenset({"ada"}), key)
