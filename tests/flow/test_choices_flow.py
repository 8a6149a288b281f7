"""An opted-out user: no state, no row, no example, no outcome; and everybody's list."""

from __future__ import annotations

import asyncio

from features.outcomes_agent import OutcomesAgent
from features.outcomes_state import decode
from features.store import MemoryStore
from serving.answer import Answerer, Taken
from stream.batching import PlainRecord
from stream.choices import Choices
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Choice, Identity, Recommendation, decode_recommendation, json_encode
from stream.forget import Forgotten
from stream.topics import Topics
from tests.flow.test_outcomes_flow import CONFIG as OUTCOMES
from tests.flow.test_outcomes_flow import World as Shown
from tests.flow.test_outcomes_flow import clicks, lists
from tests.flow.test_profile_flow import World, event, make_agent, run_of
from tests.unit.serving.shop import NOW_MS, PLAIN, recommender, user


def choice(user_id: str, *, personalised: bool) -> PlainRecord:
    value = json_encode(Choice(user_id=user_id, personalised=personalised))
    return PlainRecord(user_id.encode(), value, 0)


def test_the_profile_keeps_nothing_new_of_who_has_opted_out() -> None:
    world = World()
    asyncio.run(make_agent(world)(run_of([event(0, "ada", "tea-1"), event(1, "bob", "tea-1")])))
    before = dict(world.states)
    choices = Choices()
    choices.take(choice("ada", personalised=False))
    agent = make_agent(world, choices)
    asyncio.run(agent(run_of([event(2, "ada", "tea-2"), event(3, "bob", "tea-2")], 2)))
    assert world.states[b"ada"] == before[b"ada"]
    assert world.states[b"bob"] != before[b"bob"]
    assert [one.user_id for one in world.examples()] == ["ada", "bob", "bob"]
    choices.take(choice("ada", personalised=True))
    asyncio.run(agent(run_of([event(4, "ada", "tea-3")], 4)))
    assert world.examples()[-1].user_id == "ada"
    # What happened in between is nowhere.
    assert [step.item_id for step in world.examples()[-1].history] == ["tea-1"]


def test_nothing_is_told_of_what_they_were_shown() -> None:
    async def story() -> None:
        world, choices = Shown(), Choices()
        choices.take(choice("ann", personalised=False))
        agent = OutcomesAgent(
            kafka=KafkaConfig(partitions=1),
            table=world,
            publisher=world,
            config=OUTCOMES,
            forgotten=Forgotten(),
            lock=asyncio.Lock(),
            choices=choices,
        )
        await agent.shown(lists(("ann", 1_000), ("bob", 2_000)))
        await agent.acted(clicks(("ann", "tea", 1_500), ("bob", "tea", 2_500)))
        assert {one.user_id for one in world.outcomes()} == {"bob"}
        assert set(world.states) == {b"bob"}

    asyncio.run(story())


def test_nothing_is_told_of_lists_of_before_either() -> None:
    async def story() -> None:
        world, choices = Shown(), Choices()
        agent = OutcomesAgent(
            kafka=KafkaConfig(partitions=1),
            table=world,
            publisher=world,
            config=OUTCOMES,
            forgotten=Forgotten(),
            lock=asyncio.Lock(),
            choices=choices,
        )
        await agent.shown(lists(("ann", 1_000), ("bob", 2_000)))
        choices.take(choice("ann", personalised=False))
        await agent.acted(clicks(("ann", "tea", 1_500)))
        await agent.shown(lists(("bob", 900_000), at=2))
        await agent.acted(clicks(("bob", "cup", 900_000), at=1))
        # That ann passed her list over isn't so: her click wasn't looked at.
        assert {one.user_id for one in world.outcomes() if one.final} == {"bob"}
        assert not decode(world.states[b"ann"]).lists

    asyncio.run(story())


def request(user_id: str, n: int, topics: Topics) -> Taken:
    value = b'{"request_id": "r-%d", "user_id": "%s", "k": 4}' % (n, user_id.encode())
    return Taken(topics.requests, 0, PlainRecord(user_id.encode(), value, n, NOW_MS))


def test_their_list_is_everybodys_from_the_next_micro_batch_on() -> None:
    topics, store = Topics(), MemoryStore()
    store.write([user("ann", ("axe", "view"), ("bit", "view"))])
    answerer = Answerer(store, recommender(), PLAIN, topics, ManualClock(NOW_MS))

    def ask(user_id: str, n: int) -> Recommendation:
        replies = answerer.answer(answerer.take([request(user_id, n, topics)]))
        return decode_recommendation(replies.answers[0].value or b"")

    own, everybodys = ask("ann", 1), ask("nobody", 2)
    assert own.items != everybodys.items
    answerer.choices.take(choice("ann", personalised=False))
    out = ask("ann", 3)
    assert [one.item_id for one in out.items] == [one.item_id for one in everybodys.items]
    assert (out.path, out.seen_event_id) == ("cold_user", None)
    assert not any(one.because_item for one in out.items)
    answerer.choices.take(choice("ann", personalised=True))
    assert ask("ann", 4).items == own.items


def linked(user_id: str, same_as: str, *, linked: bool = True) -> PlainRecord:
    value = json_encode(Identity(user_id=user_id, same_as=same_as, linked=linked))
    return PlainRecord(user_id.encode(), value, 0)


def test_one_person_has_one_history_under_all_their_ids_until_the_link_is_undone() -> None:
    topics, store = Topics(), MemoryStore()
    store.write([user("ann", ("axe", "view"), ("bit", "view")), user("app-7", ("assam", "view"))])
    answerer = Answerer(store, recommender(), PLAIN, topics, ManualClock(NOW_MS))

    def top(user_id: str, n: int) -> list[str]:
        replies = answerer.answer(answerer.take([request(user_id, n, topics)]))
        return [one.item_id for one in decode_recommendation(replies.answers[0].value or b"").items]

    app, web = top("app-7", 1), top("ann", 2)
    assert app != web
    answerer.links.take(linked("app-7", "ann"))
    assert top("app-7", 3) == top("ann", 4) == web  # two views of tools against one of tea
    answerer.choices.take(choice("ann", personalised=False))
    assert top("app-7", 5) == top("nobody", 6)
    answerer.choices.take(choice("ann", personalised=True))
    answerer.links.take(linked("app-7", "ann", linked=False))
    assert (top("app-7", 7), top("ann", 8)) == (app, web)
