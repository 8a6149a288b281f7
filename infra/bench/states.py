"""States of users as the profile writes them, as many as wanted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import msgspec

from features.agent import ProfileAgent
from features.interest import InterestConfig
from features.store import MemoryStore
from infra.bench.fed import KAFKA, START_MS, TOPICS, Nowhere, catalogue, event, run_of
from stream.clock import SystemClock
from stream.events import json_encode

DIFFERENT = 200
"""States that really differ; a block of a table's file holds a dozen, so that they don't compress
by being alike."""

EVENTS = 60
"""Of each user: all steps that are kept, and some older items."""

HOUR_MS = 3_600_000

ITEMS = 2_000


def some_states(count: int = DIFFERENT, events: int = EVENTS) -> list[bytes]:
    """Make states of users with a full history, by the profile's own agent."""
    table: dict[bytes, bytes] = {}
    agent = ProfileAgent(
        kafka=KAFKA,
        table=table,
        publisher=Nowhere(),
        store=MemoryStore(),
        catalog=catalogue(384),
        clock=SystemClock(),
        interest=InterestConfig(),
    )
    for user in range(count):
        first = user * events
        asyncio.run(agent(run_of(TOPICS.events, _events(user, first, events), first)))
    return [value for key, value in table.items() if key.startswith(b"user-")]


def states(users: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and states of so many users, those that differ in a drawn order.

    Those that differ are made at once, the rest as they are taken.
    """
    chance, known = random.Random(1), some_states(min(DIFFERENT, users))
    return ((f"user-{user:07}".encode(), chance.choice(known)) for user in range(users))


def _events(user: int, first: int, events: int) -> Iterator[bytes]:
    chance = random.Random(user)
    at_ms = START_MS
    for n in range(first, first + events):
        at_ms += chance.randrange(HOUR_MS)
        yield json_encode(
            msgspec.structs.replace(
                event(n),
                user_id=f"user-{user}",
                item_id=f"item-{int(ITEMS * chance.random() ** 2)}",
                ts_ms=at_ms,
                received_ms=at_ms,
            )
        )
