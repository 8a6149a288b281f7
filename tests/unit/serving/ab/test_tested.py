"""A test at work: each user gets their variant's list, and the list says which it is."""

from __future__ import annotations

import msgspec

from features.store import MemoryStore
from learner.search.fusion import SearchHead
from serving.ab.tested import TestedRecommender
from serving.answer import Answerer, Work
from serving.search.answers import SearchAnswers
from serving.search.config import SearchConfig
from serving.search.dense import QueryVectors
from serving.search.engine import Engine
from stream.clock import ManualClock
from stream.events import Recommendation
from stream.topics import Topics
from stream.variants import Assignment, Variant, VariantsConfig
from tests.unit.serving.shop import (
    NOW_MS,
    PLAIN,
    PlainRanker,
    ask,
    recommender,
    stocked,
    user,
)

TEST = VariantsConfig(
    arms=(
        Variant(name="model"),
        Variant(name="popularity", ranker="popularity"),
        Variant(name="mixed", mmr_lambda=0.1),
    )
)
USERS = [f"user-{number}" for number in range(24)]


def answers(test: VariantsConfig = TEST) -> list[Recommendation]:
    index = stocked()
    tested = TestedRecommender(
        index, PlainRanker(index.catalog), PLAIN, ManualClock(NOW_MS), test=test
    )
    tested.ranker = PlainRanker(index.catalog, version=7)  # a swap reaches every variant
    tool_lovers = [user(name, ("drill", "click"), ("axe", "click")) for name in USERS]
    return tested.answer_many([ask(name) for name in USERS], tool_lovers)


def items(answer: Recommendation) -> list[str]:
    return [one.item_id for one in answer.items]


def test_each_answer_is_its_users_and_names_their_variant() -> None:
    dealt = Assignment(TEST)
    made = answers()
    assert [answer.user_id for answer in made] == USERS
    assert [answer.variant for answer in made] == [dealt.name_of(name) for name in USERS]
    assert {answer.variant for answer in made} == {"model", "popularity", "mixed"}
    assert {answer.model_version for answer in made} == {7}


def test_the_control_is_what_everybody_gets_without_a_test() -> None:
    [plain] = recommender(version=7).answer_many(
        [ask("user-0")], [user("user-0", ("drill", "click"), ("axe", "click"))]
    )
    for answer in answers():
        if answer.variant == "model":
            assert items(answer) == items(plain)


def test_popularity_knows_nothing_of_the_user_but_what_they_did_last() -> None:
    for answer in answers():
        if answer.variant == "popularity":
            assert items(answer) == ["assam", "breakfast", "chai", "darjeeling"]
            assert answer.path == "cold_user"
            assert not any(one.because_item for one in answer.items)
            assert answer.seen_event_id == f"{answer.user_id}-2"


def test_a_variant_may_mix_more_unlike_items_in() -> None:
    of = {answer.variant: items(answer) for answer in answers()}
    assert of["model"] == ["axe", "bit", "chisel", "drill"]
    assert set(of["mixed"]) & {"assam", "breakfast", "chai", "darjeeling", "earl-grey", "fennel"}


def test_what_is_hidden_stays_hidden_from_those_who_get_popularity() -> None:
    hiding = msgspec.structs.replace(PLAIN, hide_seen_s=3_600.0)
    [answer] = recommender(config=hiding).answer_many(
        [ask("ada", k=12, personal=False)], [user("ada", ("assam", "view"))]
    )
    assert "assam" not in items(answer)


def test_a_search_is_its_users_variants_and_so_is_an_answer_that_came_too_late() -> None:
    index, clock = stocked(), ManualClock(NOW_MS)
    tested = TestedRecommender(index, PlainRanker(index.catalog), PLAIN, clock, test=TEST)
    engine = Engine(index.catalog, QueryVectors(), SearchHead(), SearchConfig())
    engine.follow()
    searches = SearchAnswers(engine, tested, SearchConfig())
    answerer = Answerer(MemoryStore(), tested, PLAIN, Topics(""), clock, searches={"": searches})
    dealt = Assignment(TEST)
    for name in USERS:
        searched = ask(name, query="axe")
        found = searches.answer(searched, user(name, ("drill", "click"), ("axe", "click")))
        assert found.variant == dealt.name_of(name)
        assert (found.path == "cold_user") is (found.variant == "popularity")
        late = Work([], [], [], [], [searched], [], [])
        [kept] = [kept for _, kept in answerer.answer(late).kept]
        assert msgspec.json.decode(kept.value)["variant"] == dealt.name_of(name)
