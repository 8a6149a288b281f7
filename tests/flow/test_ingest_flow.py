"""A shop's records through ingest's agent, with a broker that fails now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from stream.agent import IngestAgent
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Event, decode_event
from stream.ingest import IngestConfig
from stream.metrics import INGEST_RECORDS
from stream.outgoing import Outgoing, RecordTooLarge
from stream.parse import parse_event
from stream.parse_together import parse_together
from stream.refusals import Refusals, Sifting
from stream.shop import Shop, ShopConfig, ShopRecord
from stream.topics import RAW_EVENT_TOPICS

RUN_RECORDS = 97
GOOD: dict[str, Any] = {"user_id": "ann", "item_id": "tea", "ts": 1_777_626_000_000}


@dataclass
class Shelf:
    """Topics in memory; calls whose number is in `fails` raise, with nothing or half written."""

    limits: dict[str, int] = field(default_factory=dict)
    fails: set[int] = field(default_factory=set)
    calls: int = 0
    topics: dict[str, list[Outgoing]] = field(default_factory=dict)

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        self.calls += 1
        limit = self.limits.get(topic, 1_000_000)
        for index, record in enumerate(records):
            if record.size > limit:
                raise RecordTooLarge(topic, record, index, limit)
        fails = self.calls in self.fails
        written = records[: len(records) // 2] if fails else records
        self.topics.setdefault(topic, []).extend(written)
        if fails:
            msg = "the broker is away"
            raise Unavailable(msg)


def runs(records: Sequence[ShopRecord], start: int = 0) -> list[Run]:
    """Cut each topic's records into runs of one partition."""
    found = []
    for topic in RAW_EVENT_TOPICS:
        mine = [r for r in records if r.topic_kind == topic]
        plain = [PlainRecord(r.key, r.value, start + n, r.ts_ms) for n, r in enumerate(mine)]
        for at in range(0, len(plain), RUN_RECORDS):
            found.append(Run(f"tidemill.{topic}", 0, plain[at : at + RUN_RECORDS]))
    return found


def shop_records(steps: int) -> tuple[list[ShopRecord], ManualClock]:
    shop = Shop(21, ShopConfig(duplicate_share=0.1, broken_share=0.05))
    records = [record for _ in range(steps) for record in shop.step()]
    return records, ManualClock(records[-1].ts_ms)


async def drive(agent: IngestAgent, all_runs: Sequence[Run]) -> int:
    """Give each run until it succeeds, as Faust's guard does; returns the failures."""
    failures = 0
    for run in all_runs:
        while True:
            try:
                await agent(run)
            except Unavailable:
                failures += 1
            else:
                break
    return failures


def counted() -> Counter[str]:
    found: Counter[str] = Counter()
    for sample in next(iter(INGEST_RECORDS.collect())).samples:
        if sample.name.endswith("_total"):
            found[sample.labels["outcome"]] += int(sample.value)
    return found


@pytest.mark.parametrize("fails", [set(), set(range(1, 60, 3))])
def test_every_record_of_the_shop_finds_its_fate(fails: set[int]) -> None:
    records, clock = shop_records(2_000)
    shelf, before = Shelf(fails=fails), counted()
    agent = IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock)
    failures = asyncio.run(drive(agent, runs(records)))
    assert failures == len(fails & set(range(1, shelf.calls + 1)))

    labels = Counter(record.label for record in records)
    events = [decode_event(o.value or b"") for o in shelf.topics["tidemill.events"]]
    distinct = {(event.user_id, event.event_id) for event in events}
    assert len(distinct) == labels["event"] + labels["bot"]
    if not fails:
        assert len(events) == len(distinct)
        assert len(shelf.topics["tidemill.dead-letters"]) == labels["broken"]
    gained = counted() - before
    assert gained["accepted"] == labels["event"] + labels["bot"]
    assert gained["duplicate"] == labels["duplicate"]
    assert gained["dead_letter"] == labels["broken"]
    outgoing = shelf.topics["tidemill.events"]
    assert all(o.key == event.user_id.encode() for o, event in zip(outgoing, events, strict=True))


def test_events_of_a_user_keep_their_order() -> None:
    records, clock = shop_records(1_000)
    shelf = Shelf()
    clicks = [run for run in runs(records) if run.topic.endswith("clicks")]
    asyncio.run(drive(IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock), clicks))
    times: dict[str, list[int]] = {}
    for out in shelf.topics["tidemill.events"]:
        event = decode_event(out.value or b"")
        times.setdefault(event.user_id, []).append(event.ts_ms)
    assert len(times) > 50
    assert all(found == sorted(found) for found in times.values())


def test_a_worker_that_starts_anew_publishes_again_what_it_did_not_acknowledge() -> None:
    records, clock = shop_records(200)
    shelf = Shelf()
    for _ in range(2):
        agent = IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock)
        asyncio.run(drive(agent, runs(records)[:1]))
    values = [out.value for out in shelf.topics["tidemill.events"]]
    assert values[: len(values) // 2] == values[len(values) // 2 :]


def test_a_record_on_which_our_own_code_fails_costs_its_neighbours_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [msgspec.json.encode(GOOD | {"event_id": f"e{n}"}) for n in range(40)]
    bad = {f"e{n}" for n in (3, 4, 39)}

    def faulty(*arguments: Any, **options: Any) -> Event:
        event = parse_event(*arguments, **options)
        if event.event_id in bad:
            raise ZeroDivisionError(event.event_id)
        return event

    async def at_once(_seconds: float) -> None:
        pass

    def faulty_together(*arguments: Any) -> list[Event] | None:
        events = parse_together(*arguments)
        if any(event.event_id in bad for event in events or ()):
            raise ZeroDivisionError
        return events

    monkeypatch.setattr("stream.ingest.parse_event", faulty)
    monkeypatch.setattr("stream.ingest.parse_together", faulty_together)
    shelf, clock = Shelf(), ManualClock(GOOD["ts"])
    agent, before = IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock), counted()
    refusals = Refusals("ingest", KafkaConfig(), shelf, clock, agent.count_refused)
    run = Run("tidemill.clicks", 0, [PlainRecord(None, value, n) for n, value in enumerate(values)])
    asyncio.run(Sifting(refusals, run, agent, at_once, agent.prepare)())
    found = [decode_event(out.value or b"").event_id for out in shelf.topics["tidemill.events"]]
    assert found == [f"e{n}" for n in range(40) if f"e{n}" not in bad]
    letters = shelf.topics["tidemill.dead-letters"]
    assert [letter.value for letter in letters] == [values[n] for n in (3, 4, 39)]
    gained = counted() - before
    assert (gained["accepted"], gained["dead_letter"], gained["duplicate"]) == (37, 3, 0)


def test_an_event_that_the_broker_does_not_take_is_kept_as_a_dead_letter() -> None:
    long = msgspec.json.encode(GOOD | {"text": "x" * 9_000})
    short = msgspec.json.encode(GOOD)
    plain = [PlainRecord(None, value, n) for n, value in enumerate((short, long, short))]
    shelf, clock = Shelf(limits={"tidemill.events": 9_000}), ManualClock(1_777_626_000_000)
    agent = IngestAgent(KafkaConfig(), IngestConfig(), shelf, clock)
    asyncio.run(agent(Run("tidemill.reviews", 0, plain)))
    assert len(shelf.topics["tidemill.events"]) == 2
    assert [letter.value for letter in shelf.topics["tidemill.dead-letters"]] == [long]
