"""Users in words, through the profile's agents: on `profiles`, in the row, and gone when asked."""

from __future__ import annotations

import asyncio

import msgspec

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.interest import InterestConfig
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import decode_profile_text
from tests.flow.test_forget_flow import ADA, BOB, World, asked, events
from tests.flow.test_profile_flow import START_MS, drive, event, run_of
from tests.flow.test_profile_flow import World as ProfileWorld

PROFILES = "tidemill.profiles"


def test_a_user_is_described_in_their_row_and_on_the_topic() -> None:
    world = ProfileWorld()
    tastes = [event(n, "ada", f"tea-{n % 10}") for n in range(30)]
    tastes += [event(30 + n, "ada", f"bikes-{n}") for n in range(10)]
    asyncio.run(drive(world, [run_of(tastes[at : at + 4], at) for at in range(0, 40, 4)]))
    told = [decode_profile_text(record.value or b"") for record in world.topics[PROFILES]]
    assert [text.because for text in told] == ["events", "events", "shift"]
    assert "Now most often tea: 10 of the newest 10 events" in told[1].text
    assert "interest turned to bikes; of the 3" in told[2].text
    (row,) = world.read(["ada"])
    assert row is not None and row.words == told[2].text


def test_nobody_is_described_where_it_is_off() -> None:
    world = ProfileWorld()
    off = ProfileAgent(
        kafka=KafkaConfig(),
        table=world,
        publisher=world,
        store=world,
        catalog=Catalog(64),
        clock=ManualClock(START_MS),
        interest=InterestConfig(describe=False),
    )
    asyncio.run(off(run_of([event(n, "ada", f"tea-{n}") for n in range(9)])))
    (row,) = world.read(["ada"])
    assert row is not None and not row.words and PROFILES not in world.topics


def test_who_is_forgotten_is_gone_from_the_topic_and_others_stay() -> None:
    async def play(world: World) -> None:
        await world.profile(events(ADA, *range(10, 20)))
        await world.profile(events(BOB, *range(10, 20)))
        await world.forget(asked(ADA))

    world = World()
    asyncio.run(play(world))
    newest = {record.key: record.value for record in world.topics[PROFILES]}
    assert newest[b"ada"] is None
    assert newest[b"bob"] is not None and msgspec.json.decode(newest[b"bob"])["user_id"] == "bob"
