"""The commit rule and the guard: nothing is acknowledged that isn't finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError, NodeNotReadyError
from aiokafka.record._crecords.default_records import DefaultRecord
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream import transport
from stream.app import Delivery, StreamApp, StreamConfig, guarded, make_app
from stream.batching import PlainRecord, Run
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.ledger import Ledger
from stream.transport import Consumer, RecordsAsRead

CLICKS = TP("clicks", 0)


# The ledger ------------------------------------------------------------------------------------


@given(
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_the_commit_never_passes_an_unfinished_run(gaps: list[int], order: Any) -> None:
    ledger = Ledger()
    offset, tickets = -1, []
    for gap in gaps:
        offset += gap
        tickets.append(ledger.fetched(offset))
    for ticket in order.sample(tickets, len(tickets)):
        ticket.done = True
        finished = [t.offset for t in tickets[: _finished_prefix(tickets)]]
        assert ledger.committable() == (finished[-1] + 1 if finished else None)
    assert ledger.committable() == offset + 1


def _finished_prefix(tickets: list[Any]) -> int:
    return next((at for at, ticket in enumerate(tickets) if not ticket.done), len(tickets))


def test_holes_between_offsets_do_not_stop_the_commit() -> None:
    ledger = Ledger(committed=10)
    for offset in (12, 4_000, 4_002):  # compacted away, or transaction markers
        ledger.fetched(offset).done = True
    assert ledger.committable() == 4_003


def test_the_group_is_never_set_back() -> None:
    ledger = Ledger(committed=800)
    ledger.fetched(600).done = True  # a role that sought back to its checkpoint
    assert ledger.committable() is None
    ledger.fetched(900).done = True
    assert ledger.committable() == 901


def test_a_commit_is_offered_again_until_it_is_confirmed() -> None:
    ledger = Ledger()
    ledger.fetched(5).done = True
    assert [ledger.committable(), ledger.committable()] == [6, 6]
    ledger.committed(6)
    assert ledger.committable() is None


# The consumer, over a broker of two dozen lines ------------------------------------------------


class FakeThread:
    """Stands where aiokafka's thread does: one log per partition, and the group's offsets."""

    def __init__(self, log: Mapping[TP, list[int]]) -> None:
        self.log = log
        self.position = dict.fromkeys(log, 0)
        self.group: dict[TP, int | None] = dict.fromkeys(log)
        self.takes_commits = True
        self.revoked: set[TP] = set()

    def assignment(self) -> set[TP]:
        return set(self.log)

    async def committed(self, tps: list[TP]) -> dict[TP, int | None]:
        return {tp: self.group[tp] for tp in tps}

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.log[TP(*tp)][0] for tp in tps}

    def seek(self, tp: TP, offset: int) -> None:
        if TP(*tp) in self.revoked:
            raise IllegalStateError(f"No current assignment for partition {tp}")  # noqa: EM102
        self.position[TP(*tp)] = offset

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.takes_commits:
            self.group.update(offsets)
        return self.takes_commits

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, list[PlainRecord]]:
        fetched = {}
        for tp in active:
            offsets = [offset for offset in self.log[tp] if offset >= self.position[tp]][:3]
            if offsets:
                self.position[tp] = offsets[-1] + 1
                fetched[tp] = [PlainRecord(None, b"%d" % offset, offset) for offset in offsets]
        return fetched


def consumer_of(app: StreamApp, offsets: list[int]) -> tuple[Consumer, FakeThread]:
    consumer: Consumer = app.consumer
    consumer._thread.thread_loop.close()
    thread = FakeThread({CLICKS: offsets})
    consumer._thread = thread
    consumer._set_active_tps({CLICKS})
    return consumer, thread


async def fetch(consumer: Consumer) -> list[Any]:
    """What agents get that take each run in hand at once, and finish it when they please."""
    messages = [message async for _, message in consumer.getmany(timeout=0)]
    for message in messages:
        consumer.handled(message)
    return messages


def loop_test(test: Any) -> Any:
    """Run a coroutine test on a loop of its own."""

    def run(tmp_path: Path) -> None:
        async def body() -> None:
            app = make_app("test", KafkaConfig(), StreamConfig(retry_s=0.001), tmp_path)
            await test(app)

        asyncio.run(body())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@loop_test
async def test_one_fetch_is_one_message_whose_offset_is_the_last(app: StreamApp) -> None:
    consumer, _ = consumer_of(app, [0, 1, 7, 8])
    await consumer.perform_seek()
    (message,) = await fetch(consumer)
    assert isinstance(message.value, Run)
    assert [record.offset for record in message.value.records] == [0, 1, 7]
    assert message.offset == 7


@loop_test
async def test_runs_that_finish_out_of_order_commit_in_order(app: StreamApp) -> None:
    consumer, thread = consumer_of(app, list(range(9)))
    await consumer.perform_seek()
    first, second, third = [(await fetch(consumer))[0] for _ in range(3)]
    consumer.ack(third)
    consumer.ack(first)
    assert await consumer.commit()
    assert thread.group == {CLICKS: 3}
    consumer.ack(second)
    assert await consumer.commit()
    assert thread.group == {CLICKS: 9}


@loop_test
async def test_a_commit_that_the_broker_refused_is_repeated(app: StreamApp) -> None:
    consumer, thread = consumer_of(app, [0, 1, 2])
    await consumer.perform_seek()
    (message,) = await fetch(consumer)
    consumer.ack(message)
    thread.takes_commits = False
    assert not await consumer.commit()
    thread.takes_commits = True
    assert await consumer.commit()
    assert thread.group == {CLICKS: 3}
    assert not await consumer.commit()


@loop_test
async def test_after_a_seek_old_runs_acknowledge_nothing_and_come_again(app: StreamApp) -> None:
    consumer, thread = consumer_of(app, list(range(6)))
    await consumer.perform_seek()
    old, ahead = (await fetch(consumer))[0], (await fetch(consumer))[0]
    await consumer.perform_seek()
    assert not consumer.is_current(ahead)
    consumer.ack(old)
    consumer.ack(ahead)
    assert not await consumer.commit()
    assert thread.group == {CLICKS: None}
    (again,) = await fetch(consumer)
    assert again.value.records[0].offset == 0


@loop_test
async def test_a_partition_that_the_next_rebalance_took_is_left_alone(app: StreamApp) -> None:
    consumer, thread = consumer_of(app, [0, 1, 2])
    thread.revoked.add(CLICKS)
    await consumer.perform_seek()
    assert app.failure is None
    assert await fetch(consumer) == []
    thread.revoked.clear()
    await consumer.perform_seek()
    (message,) = await fetch(consumer)
    assert message.offset == 2


@loop_test
async def test_what_is_fetched_before_the_first_seek_is_not_delivered(app: StreamApp) -> None:
    consumer, _ = consumer_of(app, [0, 1, 2])
    assert await fetch(consumer) == []
    await consumer.perform_seek()
    assert [message.offset for message in await fetch(consumer)] == [2]


@loop_test
async def test_a_run_lost_on_its_way_blocks_the_commit(app: StreamApp) -> None:
    consumer, thread = consumer_of(app, list(range(6)))
    await consumer.perform_seek()
    (_lost,) = await fetch(consumer)  # cut, and then seen by nobody
    (later,) = await fetch(consumer)
    consumer.ack(later)
    assert not await consumer.commit()
    assert thread.group == {CLICKS: None}


@loop_test
async def test_what_arrives_while_the_agent_works_becomes_one_run(app: StreamApp) -> None:
    consumer, _ = consumer_of(app, list(range(9)))
    await consumer.perform_seek()
    (first,) = [message async for _, message in consumer.getmany(timeout=0)]
    for _ in range(2):
        assert [message async for _, message in consumer.getmany(timeout=0)] == []
    consumer.handled(first)
    (second,) = await fetch(consumer)
    assert [record.offset for record in second.value.records] == [3, 4, 5, 6, 7, 8]


@loop_test
async def test_a_run_is_never_larger_than_set_and_nothing_is_left_behind(app: StreamApp) -> None:
    app.stream_config = StreamConfig(max_run_records=4)
    consumer, _ = consumer_of(app, list(range(9)))
    await consumer.perform_seek()
    (first,) = [message async for _, message in consumer.getmany(timeout=0)]
    for _ in range(4):
        assert [message async for _, message in consumer.getmany(timeout=0)] == []
    consumer.handled(first)
    runs = [first, *await fetch(consumer), *await fetch(consumer)]
    assert [[r.offset for r in run.value.records] for run in runs] == [
        [0, 1, 2],
        [3, 4, 5, 6],
        [7, 8],
    ]


@loop_test
async def test_a_seek_drops_what_was_gathered_and_asks_for_it_again(app: StreamApp) -> None:
    consumer, _ = consumer_of(app, list(range(6)))
    await consumer.perform_seek()
    (old,) = [message async for _, message in consumer.getmany(timeout=0)]
    assert [message async for _, message in consumer.getmany(timeout=0)] == []
    await consumer.perform_seek()
    consumer.handled(old)  # of another epoch: it says nothing about the runs of this one
    (again,) = [message async for _, message in consumer.getmany(timeout=0)]
    assert [record.offset for record in again.value.records] == [0, 1, 2]
    assert [message async for _, message in consumer.getmany(timeout=0)] == []


@loop_test
async def test_a_role_may_start_before_the_committed_offset_not_after(app: StreamApp) -> None:
    asked: list[Any] = []

    async def checkpoint(committed: Mapping[TP, int | None]) -> dict[TP, int]:
        asked.append(dict(committed))
        return {CLICKS: 2 if len(asked) == 1 else 5}

    app.start_offsets = checkpoint
    consumer, thread = consumer_of(app, list(range(9)))
    thread.group[CLICKS] = 4
    await consumer.perform_seek()
    assert asked == [{CLICKS: 4}]
    (message,) = await fetch(consumer)
    assert message.value.records[0].offset == 2
    await consumer.perform_seek()
    (message,) = await fetch(consumer)
    assert message.value.records[0].offset == 4


# The guard -------------------------------------------------------------------------------------


class FakeStream:
    """A stream of the messages that it is given."""

    def __init__(self, messages: list[Any]) -> None:
        self.enable_acks = True
        self._messages = messages

    async def events(self) -> AsyncIterator[Any]:
        for message in self._messages:
            yield SimpleNamespace(message=message, value=message.value)


async def delivered(app: StreamApp, count: int) -> tuple[FakeStream, FakeThread]:
    consumer, thread = consumer_of(app, list(range(3 * count)))
    await consumer.perform_seek()
    return FakeStream([(await fetch(consumer))[0] for _ in range(count)]), thread


@loop_test
async def test_a_run_counts_as_done_when_its_function_returns(app: StreamApp) -> None:
    stream, thread = await delivered(app, 2)
    seen: list[int] = []

    async def handle(run: Run) -> None:
        assert not await app.consumer.commit() or thread.group[CLICKS] == 3
        seen.extend(record.offset for record in run.records)

    await guarded(app)(handle)(stream)
    await app.consumer.commit()
    assert seen == list(range(6))
    assert thread.group == {CLICKS: 6}
    assert not stream.enable_acks  # Faust itself acknowledges nothing


@loop_test
async def test_an_unexpected_error_stops_the_role_before_the_acknowledgement(
    app: StreamApp,
) -> None:
    stream, thread = await delivered(app, 3)
    error = ZeroDivisionError("a fault in the agent")
    seen: list[int] = []

    async def handle(run: Run) -> None:
        seen.append(run.last_offset)
        if len(seen) == 2:
            raise error

    agent = asyncio.ensure_future(guarded(app)(handle)(stream))
    await app.failed.wait()
    agent.cancel()
    await asyncio.wait([agent])
    await app.consumer.commit()
    assert app.failure is error
    assert seen == [2, 5]
    assert thread.group == {CLICKS: 3}


@loop_test
async def test_while_a_neighbour_is_away_the_same_run_is_tried_again(app: StreamApp) -> None:
    stream, thread = await delivered(app, 2)
    seen: list[int] = []

    async def handle(run: Run) -> None:
        seen.append(run.last_offset)
        if len(seen) < 4:
            message = "the store is away"
            raise Unavailable(message)

    await guarded(app)(handle)(stream)
    await app.consumer.commit()
    assert seen == [2, 2, 2, 2, 5]
    assert thread.group == {CLICKS: 6}


@loop_test
async def test_a_delivery_is_acknowledged_late_and_in_any_order(app: StreamApp) -> None:
    stream, thread = await delivered(app, 3)
    kept: list[Delivery] = []

    async def handle(run: Run, delivery: Delivery) -> None:
        kept.append(delivery)

    await guarded(app)(handle)(stream)
    assert not await app.consumer.commit()
    assert [kept[1].ack(), kept[0].ack(), kept[0].ack()] == [True, True, False]
    await app.consumer.commit()
    assert thread.group == {CLICKS: 6}


@loop_test
async def test_a_run_that_was_sought_back_is_not_handled(app: StreamApp) -> None:
    stream, _ = await delivered(app, 2)
    await app.consumer.perform_seek()
    seen: list[int] = []

    async def handle(run: Run) -> None:
        seen.append(run.last_offset)

    await guarded(app)(handle)(stream)
    assert seen == []


# What a fetch brought ---------------------------------------------------------------------------


def test_records_are_those_that_were_sent_from_the_wanted_offset_on() -> None:
    parts = []
    for base, codec in ((0, 0), (3, 4)):  # plain, zstd
        batch = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 1_000)
        for n in range(3):
            batch.append(n, 1_000 + n, b"k", b"%d" % (base + n), [("h", b"x")] if n else [])
        parts.append(base.to_bytes(8, "big") + bytes(batch.build())[8:])
    read = RecordsAsRead(
        TopicPartition("clicks", 0), MemoryRecords(b"".join(parts)), None, 2, None, None, True, 0
    )
    first = next(iter(read))
    assert (first.offset, first.key, first.value, first.timestamp) == (2, b"k", b"2", 1_002)
    assert list(first.headers) == [("h", b"x")]
    assert read.next_fetch_offset == 3
    assert [record.value for record in read] == [b"3", b"4", b"5"]
    assert read.next_fetch_offset == 6


def test_a_changelogs_record_becomes_a_message_of_its_partition(tmp_path: Path) -> None:
    app = make_app("test", KafkaConfig(), StreamConfig(), tmp_path)
    consumer = Consumer.__new__(Consumer)
    consumer.app = app
    app.consumer_generation_id = 7
    record = DefaultRecord(41, 5_000, 0, b"key", None, [("h", b"x")])
    message = consumer._to_message(TP("log", 2), record)
    assert (message.topic, message.partition, message.offset) == ("log", 2, 41)
    assert (message.key, message.value, message.timestamp) == (b"key", None, 5.0)
    assert (message.generation_id, message.headers) == (7, [("h", b"x")])


def test_a_topic_is_declared_again_while_the_broker_to_ask_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    async def create(_: Any, topic: str) -> None:
        tries.append(topic)
        if len(tries) < 3 or topic == "never":
            raise NodeNotReadyError("node 1")  # noqa: EM101

    monkeypatch.setattr(driver.Transport, "_create_topic", create)
    monkeypatch.setattr(transport, "TOPIC_PAUSE_S", 0.0)
    asked: Any = transport.Transport.__new__(transport.Transport)
    asyncio.run(asked._create_topic("log"))
    assert tries == ["log"] * 3
    with pytest.raises(NodeNotReadyError):
        asyncio.run(asked._create_topic("never"))
