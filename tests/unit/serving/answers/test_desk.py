"""Questions among other requests: lists, conversations, and answers that are sent again."""

from __future__ import annotations

import msgspec
import pytest

from features.catalog import Catalog
from features.store import MemoryStore
from serving.answer import Answerer, Taken
from serving.answers.config import AnswersConfig
from serving.answers.desk import Desk
from serving.answers.review_book import Said
from serving.shops import Shops
from stream.asked import Answer, Conversations, Dialogue
from stream.batching import PlainRecord
from stream.clock import ManualClock
from stream.events import (
    Recommendation,
    RecommendedItem,
    Request,
    Searched,
    decode_recommendation,
    json_encode,
    msgpack_encode,
)
from stream.tenants import inside
from stream.topics import Topics
from tests.unit.serving.answers.shop import DOCUMENTS, ITEMS
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainModels, PlainRanker

TOPICS = Topics("shop.")


class World:
    """One serving process of two shops, whose second has a fan of another weight."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS)
        self.desk = Desk(AnswersConfig())
        self.shops = Shops(
            ["acme"],
            Catalog(2, texts=True),
            models=PlainModels(),
            config=PLAIN,
            clock=self.clock,
        )
        other = msgspec.structs.replace(
            ITEMS[0], item_id=inside("acme", "fan"), attributes={"weight": "9 kg"}
        )
        for item in (*ITEMS, other):
            self.shops.apply(PlainRecord(item.item_id.encode(), msgpack_encode(item), 0))
        for name, made in self.shops.recommenders.items():
            made.ranker = PlainRanker(self.shops.of(name).index.catalog)
        self.shops.open(self.desk)
        who = self.shops.recommenders
        self.answerer = Answerer(
            MemoryStore(), who[""], PLAIN, TOPICS, self.clock, recommenders=who, desk=self.desk
        )
        self.asked = 0
        self.said: list[Conversations] = []

    def ask(self, *questions: str, send: bool = True, **more: object) -> list[Recommendation]:
        """One micro-batch of questions."""
        taken = []
        for text in questions:
            self.asked += 1
            fields = {"request_id": f"r{self.asked}", "user_id": "zoe", "question": text, "k": 3}
            value = json_encode(msgspec.convert(fields | more, Request))
            record = PlainRecord(b"zoe", value, self.asked, NOW_MS)
            taken.append(Taken(TOPICS.requests, 0, record))
        replies = self.answerer.answer(self.answerer.take(taken))
        if send:
            self.answerer.sent(replies)
            self.said += [
                msgspec.json.decode(one.value or b"", type=Conversations)
                for one in replies.conversations
            ]
        self.handed = replies.hand_overs
        return [decode_recommendation(one.value or b"") for one in replies.answers]

    def answer(self, question: str, **more: str | None) -> Answer:
        [made] = self.ask(question, send=True, **more)
        assert isinstance(made.answer, Answer)
        return made.answer


@pytest.fixture
def world() -> World:
    return World()


def test_a_question_gets_an_answer_and_no_list_and_a_request_gets_a_list(world: World) -> None:
    [made] = world.ask("How heavy is it?", context_item="fan")
    assert isinstance(made.answer, Answer)
    assert (made.path, made.items, made.answer.value) == ("answer", (), "2.5 kg")
    record = PlainRecord(b"zoe", b'{"request_id": "x", "user_id": "zoe", "k": 2}', 99, NOW_MS)
    plain = world.answerer.answer(world.answerer.take([Taken(TOPICS.requests, 0, record)]))
    listed = decode_recommendation(plain.answers[0].value or b"")
    assert len(listed.items) == 2
    assert listed.answer is msgspec.UNSET


def test_find_me_comes_with_a_list_of_what_was_wished(world: World) -> None:
    [made] = world.ask("Find me a fan under 50", conversation_id="c")
    assert [one.item_id for one in made.items] == ["fan"]
    [made] = world.ask("Show me fans but not by Acme", conversation_id="d")
    assert [one.item_id for one in made.items] == ["tower"]


def test_what_is_found_keeps_to_the_filters_of_the_page(world: World) -> None:
    [made] = world.ask("Find me a fan", filters={"price_min": 50})
    assert [one.item_id for one in made.items] == ["tower"]
    assert world.ask("Find me a fan under 50", filters={"price_min": 50})[0].items == ()


def test_turns_of_one_micro_batch_build_on_each_other(world: World) -> None:
    first, second = world.ask("Find me a fan under 100", "cheaper", conversation_id="c")
    assert isinstance(second.answer, Answer)
    assert second.answer.wishes is not None
    assert second.answer.wishes.price_max == 80
    assert len(first.items) == 2
    [said] = world.said
    assert [turn.question for turn in said.dialogues[0].turns] == [
        "Find me a fan under 100",
        "cheaper",
    ]


def test_what_was_never_sent_was_never_said(world: World) -> None:
    world.ask("Find me a fan under 100", conversation_id="c", send=False)
    wishes = world.answer("Show me something cheaper", conversation_id="c").wishes
    assert wishes is not None
    assert wishes.price_max is None


def test_another_process_goes_on_from_the_topic(world: World) -> None:
    world.ask("Find me a fan under 100", conversation_id="c")
    other = World()
    for said in world.said:
        other.desk.conversations.hear(b"zoe", json_encode(said))
    wishes = other.answer("Something cheaper", conversation_id="c").wishes
    assert wishes is not None
    assert (wishes.category, wishes.price_max) == ("Fans", 80)


def test_who_has_opted_out_leaves_no_conversation(world: World) -> None:
    world.answerer.choices.take(
        PlainRecord(b"zoe", b'{"user_id": "zoe", "personalised": false}', 0)
    )
    world.ask("Find me a fan under 100", conversation_id="c")
    assert world.said == []


def test_shops_know_nothing_of_each_other(world: World) -> None:
    for document in DOCUMENTS:
        world.desk.knowledge[""].documents.put(document)
    world.desk.knowledge[""].reviews.add(Said("r", "ann", "fan", "Very loud.", 1))
    mine = world.answer("How heavy is it?", context_item="fan")
    theirs = world.answer("How heavy is it?", context_item="fan", tenant="acme")
    assert (mine.value, theirs.value) == ("2.5 kg", "9 kg")
    assert theirs.citations[0].id == "fan"
    assert world.answer("Is it loud?", context_item="fan", tenant="acme").route == "unknown"
    asked = "Within how many days can I send an item back?"
    assert world.answer(asked).route == "policy"
    assert world.answer(asked, tenant="acme").route == "unknown"


def test_a_hand_over_goes_out_with_its_answer(world: World) -> None:
    answer = world.answer("Where is my order?")
    [handed] = world.handed
    assert handed.key == b"zoe"
    assert answer.hand_over_id is not None
    assert answer.hand_over_id in (handed.value or b"").decode()


def test_one_that_fails_on_us_costs_nobody_else_their_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = world.desk.plan

    def failing(ask: object, now_ms: int) -> object:
        if "boom" in str(getattr(ask, "question", "")):
            raise RuntimeError
        return plan(ask, now_ms)  # type: ignore[arg-type]

    monkeypatch.setattr(world.desk, "plan", failing)
    broken, whole = world.ask("boom", "How heavy is it?", context_item="fan")
    assert isinstance(broken.answer, Answer)
    assert isinstance(whole.answer, Answer)
    assert (broken.answer.route, whole.answer.value) == ("unknown", "2.5 kg")


def test_one_whose_list_fails_on_us_costs_nobody_else_their_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Recommendation:
        raise RuntimeError

    monkeypatch.setattr(world.desk, "complete", failing)
    broken, whole = world.ask("Find me a fan under 50", "How heavy is it?", context_item="fan")
    assert isinstance(broken.answer, Answer)
    assert isinstance(whole.answer, Answer)
    assert (broken.items, broken.answer.route, whole.answer.value) == ((), "unknown", "2.5 kg")


def test_a_question_that_comes_twice_gets_the_first_answer(world: World) -> None:
    [first] = world.ask("How heavy is it?", context_item="fan", request_id="same")
    world.shops.apply(
        PlainRecord(b"fan", msgpack_encode(msgspec.structs.replace(ITEMS[0], attributes={})), 1)
    )
    [second] = world.ask("How heavy is it?", context_item="fan", request_id="same")
    assert second == first


def test_no_answer_is_larger_than_a_record_may_be(world: World) -> None:
    for name in ("fan", "tower"):
        known = world.desk.knowledge[""].item(name)
        assert known is not None
        wordy = msgspec.structs.replace(
            known, attributes={f"field {n}": "茶" * 10_000 for n in range(6)}
        )
        world.shops.apply(PlainRecord(name.encode(), msgpack_encode(wordy), 0))
    compared = two_items_of(world, "fan", "tower")
    assert compared.route == "compare"
    assert compared.citations
    assert len(msgspec.json.encode(compared)) < 200_000


def two_items_of(world: World, *names: str) -> Answer:
    """What a comparison of the items says that a conversation was about."""
    shown = Dialogue(conversation_id="c", ts_ms=NOW_MS, item_ids=names)
    world.desk.conversations.say("zoe", shown)
    world.desk.conversations.sent()
    return world.answer("Compare the two", conversation_id="c")


def test_a_list_without_a_brand_says_of_each_item_what_is_its_own(world: World) -> None:
    [ask] = world.answerer.take(
        [Taken(TOPICS.requests, 0, PlainRecord(b"zoe", json_encode(NOT_ACME), 7, NOW_MS))]
    ).asks
    plan = world.desk.plan(ask, NOW_MS)
    items = [
        RecommendedItem(item_id=name, score=0.0, title="", reason="") for name in ("fan", "tower")
    ]
    searched = Searched(query="fan", chances=(1.0, 0.5), described=({"words": 1.0}, {"words": 0.5}))
    made = Recommendation(
        recommendation_id="r", request_id="q", user_id="zoe", ts_ms=0, items=tuple(items),
        path="model", model_version=1, search=searched,
    )  # fmt: skip
    told = world.desk.complete(ask, plan, made)
    assert [one.item_id for one in told.items] == ["tower"]
    assert isinstance(told.search, Searched)
    assert (told.search.chances, told.search.described) == ((1.0,), ({"words": 0.5},))


NOT_ACME = Request(request_id="q", user_id="zoe", question="Show me fans but not by Acme", k=3)
