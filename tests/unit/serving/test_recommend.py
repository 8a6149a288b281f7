"""What a shopper gets: the right list, the right words, and a flag that says how it was made."""

from __future__ import annotations

import msgspec
import pytest

from features.catalog import Catalog
from learner.texts.speaker import Speaker
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from stream.clock import ManualClock
from stream.events import Filters, Recommendation, json_encode
from tests.unit.serving.shop import (
    HOUR_MS,
    NOW_MS,
    PLAIN,
    TEAS,
    TOOLS,
    PlainRanker,
    ask,
    item,
    recommender,
    shelf,
    stocked,
    user,
)


def ids(answer: Recommendation) -> list[str]:
    return [entry.item_id for entry in answer.items]


def test_a_known_user_gets_what_the_model_ranks_with_a_reason_and_a_flag() -> None:
    ann = user("ann", ("drill", "purchase"))
    [answer] = recommender().answer_many([ask("ann")], [ann])
    assert ids(answer) == ["axe", "bit", "chisel", "drill"]
    assert answer.items[0].reason == "because you bought Drill"
    assert answer.items[0].because_item == "drill"
    assert answer.items[0].title == "Axe"
    assert (answer.path, answer.model_version, answer.seen_event_id) == ("model", 1, "ann-1")


def test_an_unknown_user_gets_what_is_popular() -> None:
    [answer] = recommender().answer_many([ask("zoe")], [None])
    assert ids(answer) == list(TEAS[:4])
    assert {entry.reason for entry in answer.items} == {"popular now"}
    assert (answer.path, answer.seen_event_id) == ("cold_user", None)


def test_users_of_one_batch_do_not_mix() -> None:
    likes_tools, likes_tea = user("t", ("axe", "view")), user("c", ("chai", "view"))
    answers = recommender().answer_many(
        [ask("t", k=2), ask("new", k=3), ask("c", k=1)], [likes_tools, None, likes_tea]
    )
    assert [answer.user_id for answer in answers] == ["t", "new", "c"]
    assert [ids(answer) for answer in answers] == [
        ["axe", "bit"],
        ["assam", "breakfast", "chai"],
        ["assam"],
    ]


def test_an_empty_catalogue_gets_an_empty_list_that_says_so() -> None:
    index = ItemIndex(Catalog(width=2))
    [answer] = recommender(index).answer_many([ask("ann")], [user("ann", ("axe", "view"))])
    assert (answer.items, answer.path) == ((), "empty_catalogue")


def test_a_catalogue_of_which_all_is_withdrawn_counts_as_empty() -> None:
    index = stocked()
    index.catalog.delete([*TEAS, *TOOLS])
    [answer] = recommender(index).answer_many([ask("ann")], [None])
    assert (answer.items, answer.path) == ((), "empty_catalogue")


def test_without_a_published_version_the_prior_answers_and_says_so() -> None:
    [answer] = recommender(version=None).answer_many([ask("ann")], [user("ann", ("axe", "view"))])
    assert ids(answer)[0] == "axe"
    assert (answer.path, answer.model_version) == ("no_model", None)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(category="tools"), ["axe", "bit", "chisel", "drill"]),
        (Filters(category="Shop > Tools"), ["axe", "bit", "chisel", "drill"]),
        (Filters(brand="TEA works", price_min=30), ["chai", "darjeeling", "earl-grey", "fennel"]),
        (Filters(price_max=10), ["assam", "axe"]),
        (Filters(category="tools", price_min=20, price_max=30), ["bit", "chisel"]),
        (Filters(category="Cars"), []),
    ],
)
def test_filters_let_through_what_they_name(filters: Filters, expected: list[str]) -> None:
    [answer] = recommender().answer_many([ask("zoe", filters=filters)], [None])
    assert ids(answer) == expected


def test_a_filter_sees_what_became_of_an_item() -> None:
    index = stocked()
    wanted = Filters(category="tools", price_max=10)
    assert index.mask(wanted) is not None
    index.upsert([item("assam", "Tools", 0.0, price=5.0), item("axe", "Tools", 1.5, price=99.0)])
    [answer] = recommender(index).answer_many([ask("zoe", filters=wanted)], [None])
    assert ids(answer) == ["assam"]
    [teas] = recommender(index).answer_many([ask("zoe", filters=Filters(category="tea"))], [None])
    assert "assam" not in ids(teas)


def test_an_item_without_a_price_passes_no_price_filter() -> None:
    index = ItemIndex(Catalog(width=2))
    index.upsert([item("free", "Tea", 0.0)])
    [answer] = recommender(index).answer_many([ask("z", filters=Filters(price_max=9))], [None])
    assert ids(answer) == []


def test_unavailable_items_are_not_shown() -> None:
    index = stocked()
    index.upsert([item("assam", "Tea", 0.0, available=False)])
    index.catalog.delete(["breakfast"])
    [answer] = recommender(index).answer_many([ask("zoe")], [None])
    assert ids(answer) == list(TEAS[2:])


def test_the_item_on_the_page_steers_the_list_and_is_not_on_it() -> None:
    [answer] = recommender().answer_many([ask("zoe", k=3, context_item="axe")], [None])
    assert ids(answer) == ["bit", "chisel", "drill"]
    assert answer.items[0].reason == "because you viewed Axe"


def test_repeats_are_shown_unless_they_are_switched_off() -> None:
    ann = user("ann", ("axe", "view"), ("bit", "purchase"), ("chisel", "view"))
    [repeats] = recommender().answer_many([ask("ann")], [ann])
    assert ids(repeats) == ["axe", "bit", "chisel", "drill"]
    hide_seen = msgspec.structs.replace(PLAIN, hide_seen_s=90.0)
    [unseen] = recommender(config=hide_seen).answer_many([ask("ann")], [ann])
    assert ids(unseen) == ["axe", "bit", "drill", "edger"]  # axe was two minutes ago
    hide_bought = msgspec.structs.replace(PLAIN, hide_bought_s=3600.0)
    [unbought] = recommender(config=hide_bought).answer_many([ask("ann")], [ann])
    assert ids(unbought) == ["axe", "chisel", "drill", "edger"]


def test_hidden_items_do_not_shorten_the_list() -> None:
    everything = user("ann", *((name, "view") for name in TEAS))
    config = msgspec.structs.replace(PLAIN, hide_seen_s=3600.0, pool=6)
    [answer] = recommender(config=config).answer_many([ask("ann", k=6)], [everything])
    assert ids(answer) == list(TOOLS)


def test_more_wanted_than_there_is_gives_what_there_is() -> None:
    [answer] = recommender().answer_many([ask("zoe", k=100)], [None])
    assert ids(answer) == [*TEAS, *TOOLS]


class Shy(PlainRanker):
    """Ranks a single item, whatever is asked."""

    def rank_many(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        ranked = super().rank_many(*args, **kwargs)
        ranked.rows_BK[:, 1:] = -1
        return ranked


def test_a_short_ranking_is_filled_with_the_newest_allowed_items() -> None:
    made = recommender()
    made.ranker = Shy(made.index.catalog)
    [answer] = made.answer_many([ask("zoe", k=3, filters=Filters(price_max=20))], [None])
    assert ids(answer) == ["assam", "bit", "axe"]


def test_reasons_name_what_the_user_did() -> None:
    ann = user("ann", ("axe", "review"), ("chai", "cart"))
    [answer] = recommender().answer_many([ask("ann", k=12)], [ann])
    reasons = {entry.item_id: entry.reason for entry in answer.items}
    assert reasons["bit"] == "because you reviewed Axe"
    assert reasons["assam"] == "because you put Chai in your basket"
    assert reasons["chai"] == "you put this in your basket before"


def test_without_evidence_a_like_text_explains_and_then_the_interest() -> None:
    class Silent(PlainRanker):
        def evidence_many(self, past_BT, rows_BP):  # type: ignore[no-untyped-def]
            return 0 * super().evidence_many(past_BT, rows_BP)

    made = recommender()
    made.ranker = Silent(made.index.catalog)
    ann = user("ann", ("axe", "view"), top_category="tea")
    [answer] = made.answer_many([ask("ann", k=12)], [ann])
    reasons = {entry.item_id: entry.reason for entry in answer.items}
    assert reasons["bit"] == "because you viewed Axe"
    assert reasons["assam"] == "matches your recent interest in tea"


def test_only_what_came_after_the_first_load_is_new() -> None:
    index = stocked()
    index.upsert([item("genmaicha", "Tea", 0.5, first_seen_ms=NOW_MS - HOUR_MS)])
    [answer] = recommender(index).answer_many([ask("zoe", k=13)], [None])
    reasons = {entry.item_id: entry.reason for entry in answer.items}
    assert reasons["genmaicha"] == "new in Tea"
    assert reasons["fennel"] == "popular now"
    young = ItemIndex(Catalog(width=2))
    young.upsert([item("first", "Tea", 0.0, first_seen_ms=NOW_MS - 5_000)])
    [fresh] = recommender(young).answer_many([ask("zoe")], [None])
    assert fresh.items[0].reason == "popular now"


def test_time_is_the_time_of_the_events_never_ahead_of_the_clock() -> None:
    made = recommender(newest_ms=NOW_MS - 900 * HOUR_MS)
    ranker = made.ranker
    assert isinstance(ranker, PlainRanker)
    old, older = NOW_MS - 800 * HOUR_MS, NOW_MS - 850 * HOUR_MS
    made.answer_many([ask("zoe")], [None])
    made.answer_many([ask("ann")], [user("ann", ("axe", "view"), end_ms=old)])
    made.answer_many([ask("bob")], [user("bob", ("axe", "view"), end_ms=older)])
    made.answer_many([ask("eve")], [user("eve", ("axe", "view"), end_ms=NOW_MS + HOUR_MS)])
    assert ranker.asked_ms == [NOW_MS - 900 * HOUR_MS, old, old, NOW_MS]


def test_the_ranker_is_told_what_each_user_had_long_ago() -> None:
    made = recommender()
    ranker = made.ranker
    assert isinstance(ranker, PlainRanker)
    ann, bob = user("ann", ("axe", "view"), seen=b"chai"), user("bob", ("axe", "view"))
    made.answer_many([ask("ann"), ask("zoe"), ask("bob")], [ann, None, bob])
    assert ranker.asked_seen == [[b"chai", b"", b""]]


def test_the_longest_answer_fits_a_record_of_one_mebibyte() -> None:
    index = ItemIndex(Catalog(width=2))
    long = "ß" * 128
    index.upsert(
        [
            item(f"{i:03}{long}", "T", 0.0, title="茶" * 10_000, first_seen_ms=NOW_MS)
            for i in range(200)
        ]
    )
    ann = user("ann", (f"000{long}", "cart"))
    [answer] = recommender(index).answer_many([ask("ann", k=200)], [ann])
    assert len(answer.items) == 200
    assert len(json_encode(answer)) < 1_000_000


def test_all_of_it_at_once_with_the_default_settings() -> None:
    asks = [ask(f"u{i}", k=1 + i % 12) for i in range(50)]
    users = [user(f"u{i}", (shelf()[i % 12].item_id, "view")) if i % 3 else None for i in range(50)]
    answers = recommender(config=ServingConfig()).answer_many(asks, users)
    for one, answer in zip(asks, answers, strict=True):
        assert len(ids(answer)) == len(set(ids(answer))) == one.k


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    config = ServingConfig(pool=5, hide_seen_s=3600.0)
    asks = [ask("a", k=3), ask("b", k=12), ask("c", k=1, context_item="axe")]
    users = [user("a", ("chai", "view")), None, user("c", *((tea, "view") for tea in TEAS))]
    together = recommender(config=config).answer_many(asks, users)
    alone = [
        recommender(config=config).answer_many([one], [features])[0]
        for one, features in zip(asks, users, strict=True)
    ]
    assert together == alone


@pytest.mark.parametrize("spoken", [True, False])
def test_each_item_carries_a_sentence_where_somebody_speaks(spoken: bool) -> None:
    index = stocked()
    speaker = Speaker() if spoken else None
    made = Recommender(index, PlainRanker(index.catalog), PLAIN, ManualClock(NOW_MS), speaker)
    answers = made.answer_many([ask("ann", k=3), ask("bob", k=2)], [None, None])
    for answer in answers:
        for entry in answer.items:
            if spoken:
                assert isinstance(entry.text, str)
                assert entry.title in entry.text
            else:
                assert entry.text is msgspec.UNSET
        assert (b'"text"' in json_encode(answer)) == spoken
