"""What comes of a changelog is in the table, and on its disk, before anything else happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP, ConsumerMessage

from stream.app import StreamConfig, bytes_table, make_app
from stream.connect import KafkaConfig

PLACE = TP("ingest-profile-profiles-changelog", 0)


def change(offset: int, key: bytes = b"ann") -> ConsumerMessage:
    value = b"%d" % offset
    return ConsumerMessage(*PLACE, offset, 0.0, 0, [], key, value, None, tp=PLACE)


class Process:
    """A process with the table of profiles on a disk; partition 0 is nobody's yet."""

    def __init__(self, folder: Path) -> None:
        app = make_app("profile", KafkaConfig(), StreamConfig(), folder)
        self.table: Any = bytes_table(app, "profiles", 1)
        self.recovery: Any = app.tables.recovery

    def stands_by(self) -> None:
        self.recovery.add_standby(self.table, PLACE)
        self.recovery.standby_highwaters[PLACE] = 3

    def takes_over(self) -> None:
        self.recovery.standby_tps.clear()
        self.recovery.add_active(self.table, PLACE)
        self.recovery.active_highwaters[PLACE] = 3
        self.recovery._set_recovery_started()

    @property
    def disk(self) -> dict[bytes, bytes]:
        database = self.table.data._db_for_partition(0)
        return {key: value for key, value in database.items() if not key.startswith(b"__faust")}

    @property
    def offset(self) -> int:
        return int(self.table.persisted_offset(PLACE))

    def is_killed(self) -> None:
        self.table.data._dbs.clear()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.is_killed()


def test_a_standby_has_what_it_fetched_on_its_disk(process: Process) -> None:
    process.stands_by()
    process.recovery.take(PLACE, [change(0), change(1, b"bob")])
    assert process.disk == {b"ann": b"0", b"bob": b"1"}
    assert process.offset == 1
    assert not process.recovery.tables.standbys_ready
    process.recovery.take(PLACE, [change(2), change(3)])
    assert process.recovery.tables.standbys_ready


def test_a_standby_that_takes_over_lacks_nothing_of_before(
    process: Process, tmp_path: Path
) -> None:
    process.stands_by()
    process.recovery.take(PLACE, [change(0), change(1, b"bob")])
    process.takes_over()
    process.recovery.take(PLACE, [change(2), change(3, b"cem")])
    assert not process.recovery.in_recovery
    process.is_killed()
    again = Process(tmp_path)
    assert again.disk == {b"ann": b"2", b"bob": b"1", b"cem": b"3"}
    assert again.offset == 3
    again.is_killed()


def test_what_is_on_the_disk_is_not_applied_again(process: Process) -> None:
    process.takes_over()
    process.recovery.take(PLACE, [change(2)])
    process.recovery.take(PLACE, [change(1), change(2, b"bob"), change(3)])
    assert process.disk == {b"ann": b"3"}


def test_nothing_comes_into_a_table_that_agents_write_to(process: Process) -> None:
    process.takes_over()
    process.recovery.take(PLACE, [change(3)])
    process.recovery.take(PLACE, [change(4)])
    assert process.disk == {b"ann": b"3"}


def test_nothing_comes_of_a_partition_that_is_not_ours(process: Process) -> None:
    process.recovery.take(PLACE, [change(0)])
    assert process.disk == {}
