"""A review's way: read by the learner, published, heard by the profile; with crashes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from features.interest import InterestConfig
from features.profile_state import decode
from features.readings import as_read
from features.readings_agent import ReadingsAgent
from learner.config import LearnerConfig
from learner.examples_agent import ExamplesAgent
from learner.online import OnlineLearner
from learner.reviews.config import ReviewConfig
from learner.reviews.readings import Readings
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import (
    Event,
    Example,
    Reading,
    decode_example,
    decode_reading,
    decode_shift,
    json_encode,
    msgpack_encode,
)
from stream.forget import Forgotten
from tests.flow.test_learner_flow import (
    CONFIG,
    TOPICS,
    KilledError,
    Receipt,
    Wire,
    catalogue,
    example,
    of_one_shop,
)
from tests.flow.test_profile_flow import (
    START_MS,
    Killed,
    World,
    event,
    make_agent,
    run_of,
)

GOOD, BAD = "wonderful", "broken"


class WordReader:
    """Reads two words, and remembers in its state what it was taught."""

    def __init__(self) -> None:
        self.taught: list[str] = []

    def prepare(self) -> None:
        pass

    def read(
        self,
        texts: Sequence[str],
        users: Sequence[str] | None = None,  # noqa: ARG002 - of the protocol
        items: Sequence[str] | None = None,  # noqa: ARG002
    ) -> Readings:
        good_N = np.array([GOOD in text for text in texts])
        label_N = np.where(good_N, 2, 0)
        return Readings(
            np.eye(3)[label_N], np.where(good_N, 5.0, 1.0), np.zeros(len(texts)), label_N
        )

    def learn(
        self,
        texts: Sequence[str],
        ratings: Sequence[float | None],  # noqa: ARG002 - of the protocol
        users: Sequence[str],  # noqa: ARG002
        items: Sequence[str],  # noqa: ARG002
    ) -> None:
        self.taught += texts

    def forget(self, user: str) -> None:
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[Any]]:
        return {"taught": np.frombuffer(msgspec.json.encode(self.taught), np.uint8)}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.taught = msgspec.json.decode(arrays["taught"].tobytes())


# The learner's side -----------------------------------------------------------------------------


def review(n: int, text: str) -> Example:
    return msgspec.structs.replace(example(n), kind="review", text=text, rating=5.0)


def reviews(start: int, end: int) -> list[Run]:
    """Examples of partition 0, every second of which is a review."""
    given = [
        review(n, f"{GOOD if n % 4 else BAD} {n}") if n % 2 else example(n)
        for n in range(start, end)
    ]
    records = [
        PlainRecord(b"u", msgpack_encode(msgspec.structs.replace(one, partition=0)), one.offset)
        for one in given
    ]
    return [Run(TOPICS.examples, 0, records[at : at + 10]) for at in range(0, len(records), 10)]


class Learner:
    """One life of the learner role, with a reader."""

    def __init__(
        self, folder: Path, wire: Wire, config: LearnerConfig = CONFIG, *, reads: bool = True
    ) -> None:
        self.wire, self.reader = wire, WordReader()
        self.agent = ExamplesAgent(
            kafka=KafkaConfig(),
            learner=OnlineLearner(catalogue(), config),
            publisher=wire,
            folder=folder,
            clock=ManualClock(),
            reader=self.reader if reads else None,
        )
        self.agent.restore()
        self.shops = of_one_shop(self.agent, wire, folder)

    async def take(self, runs: Sequence[Run]) -> list[Receipt]:
        receipts = [Receipt() for _ in runs]
        for run, receipt in zip(runs, receipts, strict=True):
            await self.shops.take(run, receipt)
        return receipts

    def readings(self) -> list[Reading]:
        return [decode_reading(value or b"") for value in self.wire.values(TOPICS.readings)]


def test_reviews_are_read_published_and_learnt_once(tmp_path: Path) -> None:
    async def story() -> None:
        first = Learner(tmp_path, Wire())
        await first.take(reviews(0, 40))
        await first.agent.publish()
        assert [one.offset for one in first.readings()] == list(range(1, 40, 2))
        assert {one.sentiment for one in first.readings()} == {"positive"}
        # Delivered again from the start, after a restart: read again, not learnt again.
        second = Learner(tmp_path, Wire())
        await second.take(reviews(0, 60))
        await second.agent.publish()
        assert [one.offset for one in second.readings()] == list(range(1, 60, 2))
        assert second.reader.taught == [f"{GOOD} {n}" for n in range(1, 60, 2)]

    asyncio.run(story())


@pytest.mark.parametrize("changed", ["from nobody", "by other settings"])
def test_a_reader_begins_anew_where_nobody_read_or_otherwise(tmp_path: Path, changed: str) -> None:
    async def story() -> None:
        first = Learner(tmp_path, Wire(), reads=changed != "from nobody")
        await first.take(reviews(0, 40))
        await first.agent.publish()
        other = msgspec.structs.replace(CONFIG, reviews=ReviewConfig(ngram_bits=12))
        second = Learner(tmp_path, Wire(), CONFIG if changed == "from nobody" else other)
        assert second.reader.taught == []
        await second.take(reviews(0, 60))
        assert len(second.reader.taught) == 10  # those that the learner has not learnt

    asyncio.run(story())


def test_nothing_is_acknowledged_before_its_readings_are_out(tmp_path: Path) -> None:
    async def story() -> None:
        first = Learner(tmp_path, Wire(fail_at=TOPICS.readings))
        receipts = [Receipt() for _ in range(2)]
        with pytest.raises(KilledError):
            for run, receipt in zip(reviews(0, 20), receipts, strict=True):
                await first.shops.take(run, receipt)
        assert not any(receipt.acked for receipt in receipts)
        # What was learnt before the crash is in no checkpoint, and is learnt again.
        second = Learner(tmp_path, Wire())
        assert second.reader.taught == []
        await second.take(reviews(0, 20))
        await second.agent.publish()
        assert len(second.readings()) == len(second.reader.taught) == 10

    asyncio.run(story())


# The profile's side -----------------------------------------------------------------------------


def written(n: int, item_id: str, text: str) -> Event:
    return msgspec.structs.replace(
        event(n, "ada", item_id), kind="review", rating=5.0, title="My review", text=text
    )


def hears(world: World, forgotten: Forgotten | None = None) -> ReadingsAgent:
    profile = make_agent(world)
    return ReadingsAgent(
        kafka=KafkaConfig(),
        table=world,
        publisher=world,
        store=world,
        space=profile.space,
        interest=InterestConfig(shift_evidence_reviews=2.0, shift_window_events=14),
        forgotten=forgotten or Forgotten(),
        lock=profile.lock,
    )


def readings_of(examples: Sequence[Example]) -> Run:
    """What the learner's reader makes of the profile's own examples."""
    found = WordReader().read([one.text for one in examples])
    records = []
    for one, rating in zip(examples, found.rating_N, strict=True):
        reading = Reading(
            event_id=one.event_id,
            user_id=one.user_id,
            item_id=one.item_id,
            ts_ms=one.ts_ms,
            received_ms=one.received_ms,
            partition=one.partition,
            offset=one.offset,
            rating=float(rating),
            sentiment="positive" if rating > 3 else "negative",
            doubt=0.0,
            stars=one.rating,
        )
        records.append(PlainRecord(one.user_id.encode(), json_encode(reading), one.offset))
    return Run("tidemill.readings", 2, records)


def praise(first: str, other: str, start: int, turns: int) -> list[Event]:
    made = []
    for turn in range(turns):
        n = start + 2 * turn
        made.append(written(n, f"{first}-{turn % 10}", GOOD))
        made.append(written(n + 1, f"{other}-{turn % 10}", BAD))
    return made


REVIEWS = [*praise("tea", "bikes", 0, 12), *praise("bikes", "tea", 24, 8)]


def reviewed() -> World:
    """Ada has reviewed as many bikes as tea, with five stars each."""
    world = World()
    asyncio.run(make_agent(world)(run_of(REVIEWS)))
    return world


def test_a_review_counts_as_it_reads() -> None:
    world = reviewed()
    asyncio.run(hears(world)(readings_of(world.examples())))
    (row,) = world.read(["ada"])
    assert row is not None
    assert row.recent_ratings[-2:] == (5.0, 1.0)
    assert row.mean_rating == 5.0  # as it was given
    assert row.mean_sentiment == 0.0  # half of what is kept complains
    asyncio.run(make_agent(world)(run_of([event(90, "ada", "tea-1")], 90)))
    assert [step.rating for step in world.examples()[-1].history[-2:]] == [5.0, 1.0]


def test_histories_tell_readings_wherever_an_event_falls_into_them() -> None:
    world = reviewed()
    asyncio.run(hears(world)(readings_of(world.examples())))
    kept = decode(world.states[b"ada"])
    # In time, late, a review that was read before it came back, and more than a history holds.
    later = [event(100 + n, "ada", f"tea-{n % 10}") for n in range(40)]
    late = msgspec.structs.replace(event(150, "ada", "tea-1"), ts_ms=START_MS + 35_500)
    asyncio.run(make_agent(world)(run_of([*later, late], 90)))
    for told in world.examples()[len(REVIEWS) :]:
        assert told.history == as_read(told.history, kept.readings)
        assert any(step.rating == 1.0 for step in told.history)


def test_the_text_of_a_review_reaches_the_learner() -> None:
    example_of = reviewed().examples()[1]
    assert example_of.text == f"My review\n{BAD}"
    assert decode_example(msgpack_encode(example_of)) == example_of


def test_praise_that_moves_is_a_shift_that_stars_dont_show() -> None:
    world = reviewed()
    assert world.topics.get("tidemill.interest-shifts") is None
    asyncio.run(hears(world)(readings_of(world.examples())))
    (shift,) = [
        decode_shift(record.value or b"") for record in world.topics["tidemill.interest-shifts"]
    ]
    assert (shift.source, shift.from_category, shift.to_category) == ("reviews", "tea", "bikes")
    assert START_MS + 24_000 < shift.ts_ms


@pytest.mark.parametrize("failure", [Killed(), Unavailable("away")])
@pytest.mark.parametrize("at", range(1, 4))
def test_wherever_it_fails_each_reading_is_heard_once(at: int, failure: BaseException) -> None:
    clean, world = reviewed(), reviewed()
    run = readings_of(clean.examples())
    asyncio.run(hears(clean)(run))
    before = len(world.effects)
    world.fail_at = {before + at: failure}
    with pytest.raises(type(failure)):
        asyncio.run(hears(world)(run))
    asyncio.run(hears(world)(run))
    assert world.states == clean.states
    assert world.read(["ada"]) == clean.read(["ada"])


def test_readings_of_the_forgotten_and_of_strangers_leave_nothing() -> None:
    world = reviewed()
    run = readings_of(world.examples())
    world.states.clear()
    asyncio.run(hears(world)(run))
    assert world.states == {}


def test_what_is_no_reading_is_refused_with_its_field() -> None:
    world = reviewed()
    reading = decode_reading(readings_of(world.examples()).records[0].value or b"")
    for field, value in (("rating", 9.0), ("doubt", -1.0), ("stars", 0.0)):
        bad = json_encode(msgspec.structs.replace(reading, **{field: value}))
        run = Run("tidemill.readings", 2, [PlainRecord(b"ada", bad, 0)])
        with pytest.raises(BadRecord, match=field):
            hears(world).prepare(run)


def test_a_state_that_comes_from_elsewhere_amid_a_run_is_not_overwritten() -> None:
    world = reviewed()
    agent, run = hears(world), readings_of(world.examples())
    (key,) = world.states
    ours = world.states[key]

    def moved(rows: object) -> None:  # noqa: ARG001 - what was to be written
        world.states[key] = b"of another worker"

    world.write = moved  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        asyncio.run(agent(run))
    assert world.states[key] == b"of another worker"
    assert decode(ours).readings.read == ()
