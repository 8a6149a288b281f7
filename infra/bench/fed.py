"""Roles fed with made-up events in this process: their own agents, no broker.

Records go in, effects go to the real store and the real folders, published records are thrown away.
50,000 users come back, and one event in a hundred is somebody new; ids never repeat.
"""

# ruff: noqa: PLC0415 - a role is fed with its own parts only

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rocksdict import AccessType, Options, Rdict

from features.catalog import Catalog
from stream.batching import PlainRecord, Run
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.events import (
    Click,
    Event,
    Example,
    ItemVector,
    Request,
    Step,
    json_encode,
    msgpack_encode,
)
from stream.outgoing import Outgoing
from stream.topics import Topics

if TYPE_CHECKING:
    from learner.config import LearnerConfig

ITEMS = 2_000
USERS = 50_000
RUN = 1_000
CHUNK = 20_000
"""Items made at once: they are not what is weighed."""
START_MS = 1_700_000_000_000
KAFKA = KafkaConfig()
TOPICS = Topics(KAFKA.topic_prefix)

Take = Callable[[int, int], None]
"""Takes the events from one number to another through a role."""


class Nowhere:
    """Publishes to nobody."""

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Forget the records."""


def user(n: int) -> str:
    """Who does the n-th event: somebody known, mostly."""
    return f"new-{n}" if n % 100 == 0 else f"user-{n * 7919 % USERS}"


def item(n: int, items: int = ITEMS) -> str:
    """What the n-th event is about: a few items often, most seldom."""
    return f"item-{int(items * ((n * 2654435761 % 2**32) / 2**32) ** 3)}"


def catalogue(width: int, items: int = ITEMS) -> Catalog:
    """Items with random vectors."""
    made, chance = Catalog(width), np.random.default_rng(0)
    for first in range(0, items, CHUNK):
        numbers = range(first, min(first + CHUNK, items))
        vectors = chance.standard_normal((len(numbers), width), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        halves = vectors.astype("<f2")
        made.upsert(
            [
                ItemVector(
                    item_id=f"item-{n}",
                    vector=half.tobytes(),
                    encoder="random",
                    text_hash="",
                    first_seen_ms=START_MS,
                    title=f"Item {n}",
                    category=(f"shelf {n % 20}",),
                    price=float(n % 90 + 1),
                )
                for n, half in zip(numbers, halves, strict=True)
            ]
        )
    return made


def event(n: int) -> Event:
    """The n-th event as `events` holds it."""
    return Event(
        event_id=f"event-{n}",
        user_id=user(n),
        item_id=item(n),
        kind="click",
        ts_ms=START_MS + 100 * n,
        source=f"{TOPICS.clicks}-0-{n}",
        received_ms=START_MS + 100 * n,
    )


def run_of(topic: str, values: Iterator[bytes], first: int) -> Run:
    """Records of one partition, numbered on."""
    made = [
        PlainRecord(None, value, first + n, START_MS + 100 * (first + n))
        for n, value in enumerate(values)
    ]
    return Run(topic, 0, made)


def ingest(_folder: Path) -> Take:
    """Ingest: validate, drop copies, publish."""
    from stream.agent import IngestAgent
    from stream.ingest import IngestConfig

    agent = IngestAgent(KAFKA, IngestConfig(), Nowhere(), SystemClock())

    def take(first: int, last: int) -> None:
        values = (
            json_encode(Click(user_id=user(n), item_id=item(n), ts=START_MS + n, event_id=f"e{n}"))
            for n in range(first, last)
        )
        asyncio.run(agent(run_of(TOPICS.clicks, values, first)))

    return take


class Rocks:
    """A table as Faust keeps it, on disk."""

    def __init__(self, folder: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 << 20)
        self._rows = Rdict(str(folder / "table"), options, access_type=AccessType.read_write())

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key."""
        found: bytes | None = self._rows.get(key)
        return found

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        self._rows[key] = value

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and values."""
        found: Iterable[tuple[bytes, bytes]] = self._rows.items()
        return found

    def __delitem__(self, key: bytes, /) -> None:
        del self._rows[key]

    def close(self) -> None:
        """Write what is in memory, and close."""
        self._rows.flush()
        self._rows.close()


def profile(folder: Path) -> Take:
    """The profile: states in RocksDB, rows in Feast's SQLite."""
    from features.agent import ProfileAgent
    from features.interest import InterestConfig
    from features.store_config import StoreConfig
    from features.store_feast import FeastStore

    agent = ProfileAgent(
        kafka=KAFKA,
        table=Rocks(folder),
        publisher=Nowhere(),
        store=FeastStore(StoreConfig(directory=str(folder / "features"))),
        catalog=catalogue(384),
        clock=SystemClock(),
        interest=InterestConfig(),
    )

    def take(first: int, last: int) -> None:
        values = (json_encode(event(n)) for n in range(first, last))
        asyncio.run(agent(run_of(TOPICS.events, values, first)))

    return take


def example(n: int, items: int = ITEMS, steps: int = 10) -> Example:
    """The n-th event with a history of so many steps."""
    history = tuple(
        Step(item(n - k * 37, items), "click", START_MS + 100 * (n - k * 37))
        for k in range(steps, 0, -1)
    )
    return Example(
        event_id=f"event-{n}",
        user_id=user(n),
        item_id=item(n, items),
        kind="click",
        ts_ms=START_MS + 100 * n,
        received_ms=START_MS + 100 * n,
        partition=0,
        offset=n,
        history=history,
        user_events=len(history),
    )


class Taken:
    """A run's delivery that nobody waits for."""

    current = True

    def ack(self) -> bool:
        """Count it as done."""
        return True


def learner(folder: Path) -> Take:
    """The learner with its defaults: ranks, learns, writes checkpoints and versions."""
    from learner.config import LearnerConfig
    from learner.drift_river import default_detectors
    from learner.examples_agent import ExamplesAgent
    from learner.online import OnlineLearner
    from learner.shops_agent import ShopsAgent

    def make(_: str) -> ExamplesAgent:
        return ExamplesAgent(
            kafka=KAFKA,
            learner=OnlineLearner(catalogue(384), LearnerConfig(), default_detectors()),
            publisher=Nowhere(),
            folder=folder / "models",
            clock=SystemClock(),
        )

    agent = ShopsAgent(
        kafka=KAFKA,
        publisher=Nowhere(),
        clock=SystemClock(),
        folder=folder / "models",
        lock=asyncio.Lock(),
        make=make,
    )

    def take(first: int, last: int) -> None:
        run = run_of(TOPICS.examples, (msgpack_encode(example(n)) for n in range(first, last)), 0)
        asyncio.run(agent.take(run, Taken()))

    return take


def serving(
    folder: Path, items: int = ITEMS, steps: int = 10, model: LearnerConfig | None = None
) -> Take:
    """Serving: features from Feast's SQLite, the prior as model, answers encoded."""
    from features.store import UserFeatures
    from features.store_config import StoreConfig
    from features.store_feast import FeastStore
    from infra.scorer_models import ScorerModels
    from learner.config import LearnerConfig
    from serving.answer import Answerer
    from serving.answer import Taken as Asked
    from serving.config import ServingConfig
    from serving.index import ItemIndex
    from serving.recommend import Recommender

    store = FeastStore(StoreConfig(directory=str(folder / "features")))
    store.write(
        [
            UserFeatures(
                user_id=f"user-{n}",
                updated_ms=START_MS,
                last_event_id="e",
                recent_items=tuple(item(n + k, items) for k in range(steps)),
                recent_kinds=("click",) * steps,
                recent_ts_ms=tuple(START_MS + k for k in range(steps)),
                recent_ratings=(0.0,) * steps,
                events=steps,
            )
            for n in range(0, USERS, 10)
        ]
    )
    index, clock, config = ItemIndex(catalogue(384, items)), SystemClock(), ServingConfig()
    models = ScorerModels(model or LearnerConfig())
    recommender = Recommender(index, models.untrained(index.catalog), config, clock)
    answerer = Answerer(store, recommender, config, TOPICS, clock)

    def take(first: int, last: int) -> None:
        for at in range(first, last, config.max_batch):
            asked = [
                Asked(
                    TOPICS.requests,
                    0,
                    PlainRecord(
                        None,
                        json_encode(Request(request_id=f"r{n}", user_id=user(n))),
                        n,
                        clock.now_ms(),
                    ),
                )
                for n in range(at, min(at + config.max_batch, last))
            ]
            answerer.answer(answerer.take(asked))

    return take


ROLES: dict[str, Callable[[Path], Take]] = {
    "ingest": ingest,
    "profile": profile,
    "learner": learner,
    "serving": serving,
}
