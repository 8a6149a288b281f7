"""A store that lost rows gets them back: emptied, set back, or emptied while it is filled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from features.profile_state import Profile, encode
from features.store import MemoryStore, UserFeatures
from features.store_witness import ROWS_AT_ONCE, Witness
from stream.batching import PlainRecord, Run
from stream.errors import Unavailable

USERS = ("ann", "bob", "cem")


class FrailStore(MemoryStore):
    """Loses all rows when told to, and by itself before its n-th write from now."""

    def __init__(self) -> None:
        super().__init__()
        self.wipe_before = 0
        self.fail_before = 0

    def write(self, rows: Sequence[UserFeatures]) -> None:
        self.fail_before -= 1
        if self.fail_before == 0:
            raise Unavailable("away")  # noqa: EM101
        self.wipe_before -= 1
        if self.wipe_before == 0:
            self.wipe()
        super().write(rows)

    def wipe(self) -> None:
        self._rows.clear()

    def copy(self) -> dict[str, UserFeatures]:
        return dict(self._rows)

    def set_back(self, rows: dict[str, UserFeatures]) -> None:
        self._rows = dict(rows)


class Shop:
    """States of three users, two on partition 0, and a process that writes their rows."""

    def __init__(self) -> None:
        self.store = FrailStore()
        self.states = {
            user.encode(): encode(Profile(counts=(1, 0, 0, 0, 0), partition=p, last_ms=1_001))
            for user, p in zip(USERS, (0, 0, 1), strict=True)
        }
        self.start()

    def start(self, committed: dict[int, int | None] | None = None) -> None:
        """A new process, which knows what is committed and nothing else."""
        self.witness = Witness(self.store, lambda: list(self.states.items()))
        self.witness.expect(committed or {})

    def take(self, partition: int, offset: int, user_id: str) -> None:
        """What the profile does with a run of one event."""

        async def work() -> None:
            run = Run("events", partition, [PlainRecord(user_id.encode(), b"", offset)])
            await self.witness.check([partition])
            row = UserFeatures(user_id=user_id, updated_ms=1_001, last_event_id="")
            self.store.write([row, self.witness.mark(run)])
            self.witness.wrote(run)

        asyncio.run(work())

    def check(self) -> int:
        return asyncio.run(self.witness.check())

    def known(self) -> list[str]:
        return [user for user, row in zip(USERS, self.store.read(USERS), strict=True) if row]


def test_a_new_shop_and_a_whole_store_are_left_alone() -> None:
    shop = Shop()
    shop.start({0: None, 1: None})
    assert shop.check() == 0
    shop.take(0, 0, "ann")
    shop.take(0, 1, "bob")
    assert shop.check() == 0
    assert shop.known() == ["ann", "bob"]


def test_an_emptied_store_is_filled_without_an_event() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    shop.take(1, 5, "cem")
    shop.store.wipe()
    assert shop.check() == 3
    assert shop.known() == ["ann", "bob", "cem"]
    assert shop.check() == 0


def test_an_event_heals_its_partition_before_it_is_written() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    shop.store.wipe()
    shop.take(0, 6, "ann")
    assert shop.known() == ["ann", "bob"]


def test_a_store_that_went_back_to_an_older_copy_is_filled() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    older = shop.store.copy()
    shop.take(0, 6, "bob")
    shop.store.set_back(older)
    assert shop.known() == ["ann"]
    assert shop.check() == 2
    assert shop.known() == ["ann", "bob"]


def test_what_was_lost_while_nobody_looked_shows_in_the_committed_offset() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    shop.start({0: 6})
    assert shop.check() == 0
    shop.store.wipe()
    shop.start({0: 6})
    assert shop.check() == 2


@pytest.mark.parametrize("write", [2, 3, 4])
def test_rows_lost_while_they_are_filled_in_are_filled_in_again(write: int) -> None:
    shop = Shop()
    shop.start({0: 6})
    shop.states |= {b"user-%d" % n: shop.states[b"ann"] for n in range(2 * ROWS_AT_ONCE)}
    # Writes: the witness, then rows, rows, and the rest of the rows.
    shop.store.wipe_before = write
    with pytest.raises(Unavailable, match="lost rows while"):
        shop.check()
    assert shop.check() == 2 * ROWS_AT_ONCE + 2
    assert shop.known() == ["ann", "bob"]


@pytest.mark.parametrize("write", [2, 3])
def test_a_filling_that_ended_half_way_is_begun_anew(write: int) -> None:
    shop = Shop()
    shop.start({0: 6})
    shop.store.fail_before = write  # the rows, or the word that all is whole
    with pytest.raises(Unavailable, match="away"):
        shop.check()
    shop.start({0: 6})
    assert shop.check() == 2


def test_who_was_filling_in_may_have_been_ahead_of_what_is_committed() -> None:
    shop = Shop()
    shop.take(0, 9, "ann")
    shop.store.wipe()
    shop.store.fail_before = 2
    with pytest.raises(Unavailable, match="away"):
        shop.check()
    shop.start({0: 7})
    assert shop.check() == 2
    assert shop.check() == 0
    older = shop.store.copy()
    shop.take(0, 8, "bob")
    shop.store.set_back(older)
    assert shop.check() == 2


def test_a_run_that_comes_again_takes_nothing_back() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    shop.take(0, 9, "bob")
    shop.witness.expect({0: 4})  # nothing of the two was committed
    shop.take(0, 5, "ann")
    assert shop.check() == 0


def test_a_witness_of_an_earlier_release_is_read() -> None:
    shop = Shop()
    name = "\x00rows-0"
    shop.store.write([UserFeatures(user_id=name, updated_ms=2 * 5 + 1, last_event_id="")])
    shop.start({0: 6})
    assert shop.check() == 0
    shop.start({0: 7})
    assert shop.check() == 2
    shop.start({0: 7})
    assert shop.check() == 0


def test_a_newer_row_is_not_set_back() -> None:
    shop = Shop()
    shop.start({0: 6})
    newer = UserFeatures(user_id="ann", updated_ms=9_999, last_event_id="newer")
    shop.store.write([newer])
    assert shop.check() == 2
    assert shop.store.read(["ann"]) == [newer]


def test_partitions_that_went_elsewhere_are_not_looked_after() -> None:
    shop = Shop()
    shop.take(0, 5, "ann")
    shop.witness.expect({1: None})
    shop.store.wipe()
    assert shop.check() == 0
