"""What stands on our own topics, damaged: each reader takes it or leaves it, and goes on.

And hostile records of a shop through ingest: no metric gains a label by them, no log a line.
"""

from __future__ import annotations

import asyncio
import io
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec
import numpy as np
import pytest

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.catalog_follow import take_records
from features.interest import InterestConfig
from features.store import MemoryStore
from infra.logs import LineFormatter
from serving.index import ItemIndex
from serving.ranker import Models
from serving.swap import AdapterSwap
from stream.agent import IngestAgent
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Halt
from stream.events import (
    AdapterVersion,
    Event,
    Example,
    ItemVector,
    Step,
    decode_example,
    json_encode,
    msgpack_encode,
)
from stream.ingest import IngestConfig
from stream.letters import accepted_event, applied_event
from stream.metrics import REGISTRY
from stream.outgoing import Outgoing
from stream.refusals import Refusals, Sifting
from tests.hostile import HOSTILE, NOW_MS

WIDTH = 8
MUTANTS = 1_000

EVENT = Event(
    event_id="e",
    user_id="ann",
    item_id="tea",
    kind="review",
    ts_ms=NOW_MS,
    source="tidemill.reviews-0-1",
    received_ms=NOW_MS,
    rating=4.0,
    text="good",
)
EXAMPLE = Example(
    event_id="e",
    user_id="ann",
    item_id="tea",
    kind="click",
    ts_ms=NOW_MS,
    received_ms=NOW_MS,
    partition=0,
    offset=7,
    history=(Step("pot", "view", NOW_MS - 1),),
    user_events=1,
    seen=b"1234",
)
VECTOR = ItemVector(
    item_id="tea",
    vector=np.full(WIDTH, 0.35, "<f2").tobytes(),
    encoder="test",
    text_hash="h",
    first_seen_ms=NOW_MS,
    title="Tea",
    category=("Kitchen",),
    price=3.0,
)
VERSION = AdapterVersion(
    model="m",
    version=3,
    path="/nowhere",
    sha256="0" * 64,
    parent=2,
    offsets={"0": 7},
    learnt=10,
    created_ms=NOW_MS,
)


def damaged(good: bytes, seed: int, count: int = MUTANTS) -> Iterator[bytes]:
    """Draw damaged copies: bytes changed, lost, doubled; some of the shop's rubbish between."""
    draw = random.Random(seed)
    small = [value for value in HOSTILE if len(value) < 500]
    for _ in range(count):
        value = bytearray(good)
        for _ in range(draw.choice((1, 1, 2, 4))):
            at, other = sorted((draw.randrange(len(value)), draw.randrange(len(value))))
            match draw.randrange(4):
                case 0:
                    value[at] = draw.randrange(256)
                case 1:
                    del value[at : at + draw.randrange(1, 9)]
                case 2:
                    value[at:at] = value[at:other]
                case _:
                    value[at:at] = bytes(draw.choices(range(256), k=3))
            value = value or bytearray(b"\xc1")
        yield bytes(value) if draw.random() < 0.95 else draw.choice(small)


def records(values: Iterator[bytes]) -> list[PlainRecord]:
    return [PlainRecord(b"tea", value, n, NOW_MS) for n, value in enumerate(values)]


class Shelf:
    """Topics in memory."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Outgoing]] = {}

    async def publish(self, topic: str, outgoing: Sequence[Outgoing]) -> None:
        self.topics.setdefault(topic, []).extend(outgoing)

    def of(self, topic: str) -> list[Outgoing]:
        return self.topics.get(f"tidemill.{topic}", [])


async def at_once(_seconds: float) -> None:
    """No pause."""


def test_damaged_events_are_refused_alone_or_change_a_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.halt_rule.MOST_IN_WINDOW", 10**9)
    monkeypatch.setattr("stream.halt_rule.MOST_IN_A_ROW", 10**9)
    shelf, clock, table = Shelf(), ManualClock(NOW_MS), dict[bytes, bytes]()
    agent = ProfileAgent(
        kafka=KafkaConfig(),
        table=table,
        publisher=shelf,
        store=MemoryStore(),
        catalog=Catalog(WIDTH),
        clock=clock,
        interest=InterestConfig(),
    )
    refusals = Refusals("profile", KafkaConfig(), shelf, clock)
    every_field = {name: getattr(EVENT, name) for name in EVENT.__struct_fields__}
    sent = records(damaged(msgspec.json.encode(every_field), 1))
    for at in range(0, len(sent), 100):
        run = Run("tidemill.events", 0, sent[at : at + 100])
        asyncio.run(Sifting(refusals, run, agent, at_once, agent.prepare)())
    letters, examples = shelf.of("dead-letters"), shelf.of("examples")
    assert len(letters) > MUTANTS // 2
    assert len(table) > 1
    by_offset = {b"%d" % record.offset: record.value for record in sent}
    for letter in letters:
        headers = dict(letter.headers)
        assert letter.value == by_offset[headers["__connect.errors.offset"] or b""]
    for outgoing in examples:
        decode_example(outgoing.value or b"")
    # A good one after all of it counts at once.
    good = Run("tidemill.events", 0, [PlainRecord(b"eve", json_encode(EVENT), MUTANTS)])
    before = len(examples)
    asyncio.run(Sifting(refusals, good, agent, at_once)())
    assert len(shelf.of("examples")) >= before


def test_damaged_item_vectors_spoil_no_catalogue() -> None:
    for record in records(damaged(msgpack_encode(VECTOR), 2)):
        catalog, index = Catalog(WIDTH), ItemIndex(Catalog(WIDTH))
        index.apply(record)
        try:
            take_records(catalog, [record])
        except Halt as error:  # a whole vector, of another encoder
            assert "vector of width" in str(error)
        assert np.isfinite(catalog.vectors).all()
        assert np.isfinite(index.catalog.vectors).all()
        assert len(index.catalog) == len(catalog)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_is_no_number_is_left_out_and_its_neighbours_are_taken(value: float) -> None:
    vector = np.full(WIDTH, 0.35, "<f2")
    vector[3] = value
    bad = msgspec.structs.replace(VECTOR, item_id="bad", vector=vector.tobytes())
    odd = msgspec.structs.replace(VECTOR, item_id="odd", vector=VECTOR.vector[:-1])
    values = [msgpack_encode(item) for item in (bad, odd, VECTOR)]
    taken = records(iter(values))
    catalog, index = Catalog(WIDTH), ItemIndex(Catalog(WIDTH))
    take_records(catalog, taken)
    for record in taken:
        index.apply(record)
    for held in (catalog, index.catalog):
        assert [held.row(item_id) >= 0 for item_id in ("bad", "odd", "tea")] == [False, False, True]


def test_damaged_versions_are_no_versions_and_good_ones_go_on(models: Models) -> None:
    swap = AdapterSwap(models, Catalog(WIDTH), "m")
    for record in records(damaged(json_encode(VERSION), 3)):
        swap.hear(record)
    swap.hear(PlainRecord(b"m", None, MUTANTS))


class NoModels:
    """Binds nothing."""

    def untrained(self, catalog: Catalog) -> None:
        """No ranker."""

    def load(self, announced: AdapterVersion) -> None:
        """No version."""


@pytest.fixture
def models() -> object:
    return NoModels()


@pytest.mark.parametrize(
    ("read", "good"),
    [(accepted_event, json_encode(EVENT)), (applied_event, msgpack_encode(EXAMPLE))],
)
def test_a_replay_reads_past_what_is_damaged(
    read: Callable[[bytes | None], object], good: bytes
) -> None:
    assert read(good) is not None
    for value in damaged(good, 4):
        read(value)


# Hostile records of a shop ----------------------------------------------------------------------


def labels() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series of the page of metrics."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        for sample in family.samples
    }


def hostile_clicks(word: str) -> list[PlainRecord]:
    """A thousand records that name themselves wherever they can."""
    values = list[bytes]()
    for n in range(1_000):
        name = f"{word}-{n}\n2030-01-01T00:00:00.000Z CRITICAL ingest forged: {word}\u2028\x1b[2J"
        fields = {"user_id": "ann", "item_id": "tea", "ts": NOW_MS, "action": "click"}
        field = ("user_id", "item_id", "event_id", "action", "ts", name)[n % 6]
        values.append(msgspec.json.encode(fields | {field: name}))
    return records(iter(values))


def test_hostile_records_add_no_label_to_a_metric_and_no_line_to_a_log() -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(LineFormatter("ingest"))
    logging.getLogger("stream").addHandler(handler)
    try:
        seen = []
        for word in ("first", "second"):
            shelf, clock = Shelf(), ManualClock(NOW_MS)
            agent = IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock)
            refusals = Refusals("ingest", KafkaConfig(), shelf, clock, agent.count_refused)
            sent = hostile_clicks(word)
            poison = ForgingError(sent[0])
            asyncio.run(
                Sifting(refusals, Run("tidemill.clicks", 0, sent), poison.around(agent), at_once)()
            )
            assert len(shelf.of("dead-letters")) > 500
            seen.append(labels())
    finally:
        logging.getLogger("stream").removeHandler(handler)
    assert seen[0] == seen[1]
    assert not [label for label in seen[1] if "first" in str(label) or "forged" in str(label)]
    lines = said.getvalue().splitlines()
    assert any("first" in line for line in lines)  # it was told, so it could have forged
    assert not [line for line in lines if line.startswith("2030")]
    assert "\x1b" not in said.getvalue()
    assert all(line.startswith(("20", "  | ")) for line in lines)


class ForgingError:
    """Makes our own code fail over one record, with an error that quotes it."""

    def __init__(self, record: PlainRecord) -> None:
        self._record = record

    def around(self, agent: IngestAgent) -> Callable[[Run], Awaitable[None]]:
        async def handle(run: Run) -> None:
            if any(record.offset == self._record.offset for record in run.records):
                user_id = msgspec.json.decode(self._record.value or b"")["user_id"]
                raise ValueError(user_id)
            await agent(run)

        return handle
