"""Table changes of a process that the group has gone on without: kept from doing harm."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import RecordMetadata
from faust.types import TP

from stream import changes as module
from stream.app import StreamApp, StreamConfig, bytes_table, make_app
from stream.changes import Producer
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.outgoing import Outgoing

CHANGELOG = TP("tidemill.test-counts-changelog", 0)


class Group:
    """Stands where the consumer does: it knows whether the group counts us in."""

    def __init__(self) -> None:
        self.answer: bool | None = True
        self.asked = 0

    async def in_group(self) -> bool | None:
        self.asked += 1
        return self.answer


class World:
    """A changelog of one partition, and a process that writes to it."""

    def __init__(self, app: StreamApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.group = Group()
        self.log: list[bytes] = []
        self.persisted: list[int] = []
        self.producer: Producer = app.producer
        monkeypatch.setattr(app, "_consumer", self.group)
        monkeypatch.setattr(self.producer, "_ensure_producer", lambda: None)
        monkeypatch.setattr(module, "send_in_batches", self.send)
        self.producer.claim({CHANGELOG: 0})
        self._table = bytes_table(app, "counts", 1)

    async def send(
        self, _: Any, topic: str, partition: int, records: list[Outgoing]
    ) -> list[tuple[asyncio.Future[RecordMetadata], int]]:
        at = len(self.log)
        self.log += [record.value or b"" for record in records]
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        ack.set_result(RecordMetadata(topic, partition, TP(topic, partition), at, 0, 0, 0))
        return [(ack, len(records))]

    def change(self, value: bytes) -> None:
        def acked(future: Any) -> None:
            self.persisted.append(future.result().offset)

        topic = self._table.changelog_topic
        future = topic.as_future_message(b"k", value, partition=0, callback=acked)
        self.producer.send_soon(future)


def process(tmp_path: Path) -> StreamApp:
    return make_app("test", KafkaConfig(), StreamConfig(session_timeout_s=6), tmp_path)


def test_a_member_writes_and_asks_the_group_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        world = World(process(tmp_path), monkeypatch)
        for value in (b"1", b"2", b"3"):
            world.change(value)
            await world.producer.flush()
        assert (world.log, world.persisted) == ([b"1", b"2", b"3"], [0, 1, 2])
        assert world.group.asked == 1

    asyncio.run(body())


def test_who_was_silent_too_long_writes_nothing_until_a_rebalance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        world = World(process(tmp_path), monkeypatch)
        world.group.answer = False
        world.change(b"stale")
        for _ in range(2):  # a run that is tried again isn't done either
            with pytest.raises(Unavailable, match="gone on without this process"):
                await world.producer.flush()
        world.group.answer = True
        with pytest.raises(Unavailable):
            await world.producer.flush()
        world.producer.claim({CHANGELOG: 0})
        await world.producer.flush()
        assert (world.log, world.persisted) == ([], [])
        world.change(b"fresh")
        await world.producer.flush()
        assert world.log == [b"fresh"]

    asyncio.run(body())


def test_a_group_that_does_not_answer_is_asked_again_with_the_changes_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        world = World(process(tmp_path), monkeypatch)
        world.group.answer = None
        world.change(b"1")
        with pytest.raises(Unavailable, match="can't be asked now"):
            await world.producer.flush()
        world.group.answer = True
        await world.producer.flush()
        assert world.log == [b"1"]

    asyncio.run(body())


def test_a_stale_write_that_slipped_through_is_noticed_and_not_counted_as_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        world = World(process(tmp_path), monkeypatch)
        world.change(b"1")
        await world.producer.flush()
        world.log += [b"another's"] * 3  # while this process was stopped in the middle of a send
        world.group.answer = False
        world.change(b"stale")
        with pytest.raises(Unavailable, match="gone on without"):
            await world.producer.flush()
        assert world.persisted == [0]

    asyncio.run(body())


def test_the_owner_goes_on_after_another_process_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        world = World(process(tmp_path), monkeypatch)
        world.change(b"1")
        await world.producer.flush()
        world.log.append(b"a zombie's")
        world.change(b"2")
        await world.producer.flush()
        world.change(b"3")
        await world.producer.flush()
        assert world.persisted == [0, 2, 3]
        assert world.group.asked == 2

    asyncio.run(body())


def test_partitions_move_without_a_last_flush_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        app = process(tmp_path)
        world = World(app, monkeypatch)
        world.group.answer = False
        world.change(b"stale")
        await app._producer_flush(logging.getLogger())
        assert app.failure is None
        assert world.log == []

    asyncio.run(body())
