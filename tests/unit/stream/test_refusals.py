"""Records on which our own code fails: found, refused, counted; and when it is too many, a halt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Halt, TooManyRefused, Unavailable
from stream.halt_rule import MOST_IN_A_ROW, MOST_IN_WINDOW, WINDOW, HaltRule
from stream.metrics import DEAD_LETTERS
from stream.outgoing import Outgoing
from stream.refusals import TRIES, Refusals, Sifting, pause_s

PLACE = ("events", 0)


@dataclass
class Shelf:
    """Dead letters in memory; the first `away` calls find the broker away."""

    away: int = 0
    letters: list[Outgoing] = field(default_factory=list)

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        assert topic == "tidemill.dead-letters"
        if self.away:
            self.away -= 1
            message = "the broker is away"
            raise Unavailable(message)
        self.letters += records


def refusals_on(shelf: Shelf) -> Refusals:
    return Refusals("profile", KafkaConfig(), shelf, ManualClock())


def run_of(size: int, start: int = 0) -> Run:
    records = [PlainRecord(None, b"%d" % n, n) for n in range(start, start + size)]
    return Run(*PLACE, records)


@dataclass
class Agent:
    """Notes what it handled; fails on a run with one of the bad offsets, before it notes any."""

    bad: frozenset[int]
    calls: int = 0
    done: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def __call__(self, run: Run) -> None:
        self.calls += 1
        offsets = [record.offset for record in run.records]
        if found := self.bad & set(offsets):
            message = f"no way to handle {min(found)}"
            raise ZeroDivisionError(message)
        self.done += offsets

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def sift(agent: Agent, run: Run, refusals: Refusals) -> None:
    asyncio.run(Sifting(refusals, run, agent, agent.pause)())


def test_with_a_way_to_prepare_letters_are_out_before_any_neighbour_has_an_effect() -> None:
    shelf = Shelf(away=2)
    bad = frozenset({3, 8})

    class Ordered(Agent):
        async def __call__(self, run: Run) -> None:
            await super().__call__(run)
            assert offsets_of(shelf.letters) == [3, 8]

    def prepare(run: Run) -> None:
        if found := bad & {record.offset for record in run.records}:
            raise ZeroDivisionError(found)

    agent = Ordered(bad)
    sifting = Sifting(refusals_on(shelf), run_of(12), agent, agent.pause, prepare)

    async def until_the_broker_is_back() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await sifting()
            assert not agent.done
        await sifting()

    asyncio.run(until_the_broker_is_back())
    assert agent.done == [n for n in range(12) if n not in bad]
    assert agent.calls == TRIES + 1


def test_a_halt_leaves_no_neighbour_past_what_was_refused() -> None:
    shelf, bad = Shelf(), frozenset(range(0, 1_000, 5))

    def prepare(run: Run) -> None:
        if bad & {record.offset for record in run.records}:
            raise ZeroDivisionError

    agent = Agent(bad)
    with pytest.raises(TooManyRefused):
        asyncio.run(Sifting(refusals_on(shelf), run_of(1_000), agent, agent.pause, prepare)())
    assert (agent.done, shelf.letters) == ([], [])


def offsets_of(letters: list[Outgoing]) -> list[int]:
    return [int(dict(x.headers)["__connect.errors.offset"] or b"") for x in letters]


@given(size=st.integers(1, 60), bad=st.frozensets(st.integers(0, 59), max_size=40))
def test_every_record_is_handled_in_order_or_a_dead_letter(size: int, bad: frozenset[int]) -> None:
    shelf, agent = Shelf(), Agent(bad)
    sift(agent, run_of(size), refusals_on(shelf))
    assert agent.done == [n for n in range(size) if n not in bad]
    assert offsets_of(shelf.letters) == [n for n in range(size) if n in bad]
    assert [letter.value for letter in shelf.letters] == [
        b"%d" % n for n in range(size) if n in bad
    ]


def test_a_letter_says_that_it_is_our_fault_and_how_often_it_was_tried() -> None:
    shelf = Shelf()
    before = DEAD_LETTERS.labels(role="profile", reason="failed")._value.get()
    sift(Agent(frozenset({1})), run_of(3), refusals_on(shelf))
    headers = dict(shelf.letters[0].headers)
    assert headers["tidemill.dlq.reason"] == b"failed"
    assert headers["tidemill.dlq.attempt"] == b"3"
    assert headers["tidemill.dlq.disposition"] == b"replayable"
    assert headers["__connect.errors.exception.class.name"] == b"builtins.ZeroDivisionError"
    assert headers["__connect.errors.class.name"] == f"{__name__}.Agent.__call__".encode()
    message = b"events[0]@1: ZeroDivisionError: no way to handle 1"
    assert headers["__connect.errors.exception.message"] == message
    assert DEAD_LETTERS.labels(role="profile", reason="failed")._value.get() == before + 1


def test_a_fault_that_passes_by_itself_refuses_nothing() -> None:
    class Recovers(Agent):
        async def __call__(self, run: Run) -> None:
            if self.calls == TRIES - 1:
                self.bad = frozenset()
            await super().__call__(run)

    shelf, agent = Shelf(), Recovers(frozenset({3}))
    sift(agent, run_of(8), refusals_on(shelf))
    assert (agent.calls, agent.done, shelf.letters) == (TRIES, list(range(8)), [])
    assert len(agent.pauses) == TRIES - 1


def test_pauses_grow_and_differ_and_do_not_multiply_with_the_bad_records() -> None:
    agent = Agent(frozenset(range(0, 40, 4)))
    sift(agent, run_of(40), refusals_on(Shelf()))
    assert len(agent.pauses) == TRIES - 1
    drawn = [[pause_s(tries) for _ in range(50)] for tries in (1, 2)]
    assert len(set(drawn[0])) > 1
    assert max(drawn[0]) <= 0.1 <= min(drawn[1]) <= max(drawn[1]) <= 0.2


def test_one_bad_record_costs_a_few_calls_not_one_per_neighbour() -> None:
    agent = Agent(frozenset({1_234}))
    sift(agent, run_of(4_000), refusals_on(Shelf()))
    assert agent.calls < 2 * 12 + TRIES + 2


@pytest.mark.parametrize("fault", [Unavailable("away"), Halt("no"), OSError("disk full")])
def test_what_says_nothing_about_a_record_refuses_none(fault: Exception) -> None:
    class Away(Agent):
        async def __call__(self, run: Run) -> None:
            raise fault

    shelf = Shelf()
    with pytest.raises(type(fault)):
        sift(Away(frozenset()), run_of(2), refusals_on(shelf))
    assert not shelf.letters


def test_when_a_neighbour_is_away_in_between_the_run_goes_on_where_it_was() -> None:
    class Interrupted(Agent):
        async def __call__(self, run: Run) -> None:
            if self.calls == 6:
                self.calls += 1
                message = "the store is away"
                raise Unavailable(message)
            await super().__call__(run)

    shelf, agent = Shelf(away=1), Interrupted(frozenset({5, 9}))
    sifting = Sifting(refusals_on(shelf), run_of(16), agent, agent.pause)

    async def guarded() -> int:
        for failures in range(9):
            try:
                await sifting()
            except Unavailable:
                continue
            return failures
        raise AssertionError

    assert asyncio.run(guarded()) == 2  # the store once, the broker once
    assert agent.done == [n for n in range(16) if n not in (5, 9)]
    assert offsets_of(shelf.letters) == [5, 9]


def test_what_cannot_be_read_is_refused_alone_and_counted_once() -> None:
    def read(record: PlainRecord) -> int:
        return 100 // (record.offset % 10)

    shelf = Shelf()
    refusals = refusals_on(shelf)
    for _ in range(3):  # a broker that was away: the run is read again
        values, refused = refusals.read(run_of(60), read)  # type: ignore[arg-type]
    assert len(values) == 54
    assert [one.record.offset for one in refused] == [0, 10, 20, 30, 40, 50]
    assert refusals.rule.recent == 6
    asyncio.run(refusals.publish(refused))
    assert dict(shelf.letters[0].headers)["tidemill.dlq.attempt"] == b"1"
    with pytest.raises(TooManyRefused):
        refusals.read(run_of(500, start=60), read)  # type: ignore[arg-type]


# The halt rule ----------------------------------------------------------------------------------


def test_more_than_five_percent_of_the_last_thousand_halts() -> None:
    rule = HaltRule()
    for _ in range(MOST_IN_WINDOW):
        assert rule.refused(*PLACE) is None
        rule.passed(*PLACE, WINDOW // MOST_IN_WINDOW - 1)
    # Exactly five percent, for as long as it goes on like this.
    for _ in range(200):
        assert rule.refused(*PLACE) is None
        rule.passed(*PLACE, WINDOW // MOST_IN_WINDOW - 1)
    assert rule.refused(*PLACE) is None
    assert rule.refused(*PLACE) == "51 of the last 1000 records"


def test_the_share_is_counted_so_the_first_records_of_a_quiet_shop_do_not_halt() -> None:
    rule = HaltRule()
    assert [rule.refused(*PLACE) for _ in range(MOST_IN_WINDOW)] == [None] * MOST_IN_WINDOW
    assert rule.refused(*PLACE) == "51 of the last 51 records"


def test_a_hundred_in_a_row_on_one_partition_halt_it_however_busy_the_others_are() -> None:
    rule = HaltRule()
    for _ in range(MOST_IN_A_ROW - 1):
        assert rule.refused(*PLACE) is None
        rule.passed("events", 1, 40)
    assert rule.refused(*PLACE) == "100 records in a row of events[0]"


def test_one_good_record_ends_a_row() -> None:
    rule = HaltRule()
    for n in range(3 * MOST_IN_A_ROW):
        assert rule.refused(*PLACE) is None
        rule.passed("events", 1, 40)
        if n % (MOST_IN_A_ROW - 1) == MOST_IN_A_ROW - 2:
            rule.passed(*PLACE, 1)


def test_a_burst_halts_before_any_letter_of_its_run() -> None:
    shelf, agent = Shelf(), Agent(frozenset(range(0, 4_000, 5)))
    refusals = refusals_on(shelf)
    with pytest.raises(TooManyRefused, match=r"51 of the last 2\d\d records.*replay --reason"):
        sift(agent, run_of(4_000), refusals)
    assert shelf.letters == []
    assert len(agent.done) < 250


def test_small_runs_of_a_burst_halt_before_a_thousand_more() -> None:
    shelf, agent = Shelf(), Agent(frozenset(range(5_000, 9_000, 5)))
    refusals, handled = refusals_on(shelf), 0
    with pytest.raises(TooManyRefused):
        for at in range(0, 9_000, 10):
            sift(agent, run_of(10, at), refusals)
            handled = at + 10
    assert 5_000 < handled < 5_300
    assert len(shelf.letters) <= MOST_IN_WINDOW


def test_one_percent_for_ever_never_halts() -> None:
    shelf, agent = Shelf(), Agent(frozenset(range(0, 20_000, 100)))
    refusals = refusals_on(shelf)
    for at in range(0, 20_000, 1_000):
        sift(agent, run_of(1_000, at), refusals)
    assert len(shelf.letters) == 200
    assert len(agent.done) == 19_800
