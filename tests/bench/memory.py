"""How much each role's memory grows while events go through it, and nothing else.

    python -m tests.bench memory --events 2000000 --json
    python -m tests.bench memory --role learner --events 100000

Each role's own agent runs in a process of its own, without a broker: records in, effects written to
the real store and the real folders, published records thrown away. 50,000 users come back, and one
event in a hundred is somebody new; ids never repeat. Growth is the slope of the resident size after
the first quarter, per 100,000 events.
"""

# ruff: noqa: PLC0415 - a role is weighed with its own parts only

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

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
from tests.bench._weighed import slope, weigh

ITEMS = 2_000
USERS = 50_000
RUN = 1_000
LOOK_EVERY = 20_000
WARM_UP = 0.25
ROLES = ("ingest", "profile", "learner", "serving")
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


def item(n: int) -> str:
    """What the n-th event is about: a few items often, most seldom."""
    return f"item-{int(ITEMS * ((n * 2654435761 % 2**32) / 2**32) ** 3)}"


def catalogue(width: int) -> Catalog:
    """Items with random vectors."""
    made = Catalog(width)
    vectors = np.random.default_rng(0).normal(size=(ITEMS, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made.upsert(
        [
            ItemVector(
                item_id=f"item-{n}",
                vector=vectors[n].astype("<f2").tobytes(),
                encoder="random",
                text_hash="",
                first_seen_ms=START_MS,
                title=f"Item {n}",
                category=(f"shelf {n % 20}",),
                price=float(n % 90 + 1),
            )
            for n in range(ITEMS)
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


def example(n: int) -> Example:
    """The n-th event with a history of ten."""
    history = tuple(
        Step(item(n - k * 37), "click", START_MS + 100 * (n - k * 37)) for k in range(10, 0, -1)
    )
    return Example(
        event_id=f"event-{n}",
        user_id=user(n),
        item_id=item(n),
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

    agent = ExamplesAgent(
        kafka=KAFKA,
        learner=OnlineLearner(catalogue(384), LearnerConfig(), default_detectors()),
        publisher=Nowhere(),
        folder=folder / "models",
        clock=SystemClock(),
    )

    def take(first: int, last: int) -> None:
        run = run_of(TOPICS.examples, (msgpack_encode(example(n)) for n in range(first, last)), 0)
        asyncio.run(agent.take(run, Taken()))  # type: ignore[arg-type]

    return take


def serving(folder: Path) -> Take:
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
                recent_items=tuple(item(n + k) for k in range(10)),
                recent_kinds=("click",) * 10,
                recent_ts_ms=tuple(START_MS + k for k in range(10)),
                recent_ratings=(0.0,) * 10,
                events=10,
            )
            for n in range(0, USERS, 10)
        ]
    )
    index, clock, config = ItemIndex(catalogue(384)), SystemClock(), ServingConfig()
    models = ScorerModels(LearnerConfig())
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


def feed(role: str, events: int, minutes: float) -> dict[str, object]:
    """Feed one role in this process, and weigh the process meanwhile."""
    roles = {"ingest": ingest, "profile": profile, "learner": learner, "serving": serving}
    with tempfile.TemporaryDirectory() as folder:
        take = roles[role](Path(folder))
        fed, sizes, started_s = 0, [], time.monotonic()
        while fed < events and time.monotonic() - started_s < minutes * 60:
            take(fed, fed + RUN)
            fed += RUN
            if fed % LOOK_EVERY == 0:
                seen = weigh(os.getpid(), time.monotonic() - started_s)
                sizes.append((fed, seen.rss_mb if seen else 0.0))
                print(f"{role:8} {fed:9,} events {sizes[-1][1]:8.1f} MB", file=sys.stderr)
        seconds = time.monotonic() - started_s
    late = [(n / 100_000, size) for n, size in sizes if n >= fed * WARM_UP]
    return {
        "role": role,
        "events": fed,
        "events_per_s": round(fed / seconds, 1),
        "rss_mb": round(sizes[-1][1], 1) if sizes else None,
        "mb_per_100k": round(slope([n for n, _ in late], [size for _, size in late]), 3),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--role", choices=ROLES, help="this one only")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="no role is fed for longer")
    parser.add_argument("--json", action="store_true", help="one object a role")
    options = parser.parse_args()
    if options.role:
        print(json.dumps(feed(options.role, options.events, options.minutes)))
        return
    for role in ROLES:
        command = [sys.executable, "-m", "tests.bench.memory", "--role", role]
        command += ["--events", str(options.events), "--minutes", str(options.minutes)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
