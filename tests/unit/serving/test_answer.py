"""Records in, records out: ids that survive a repeat, nothing dropped, nobody pays for another."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from features.store import MemoryStore, UserFeatures
from serving.answer import Answerer, Taken
from serving.config import ServingConfig
from stream.batching import PlainRecord, Record
from stream.clock import ManualClock
from stream.errors import TooManyRefused, Unavailable
from stream.events import Recommendation, Request, decode_recommendation, msgpack_encode
from stream.outgoing import Outgoing
from stream.parse import parse_request
from stream.topics import Topics
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainRanker, example, recommender, user

TOPICS = Topics("shop.")


class Brittle(MemoryStore):
    """A store that is away when told so, and counts its reads."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked: list[list[str]] = []

    def read(self, user_ids: Sequence[str]) -> list[UserFeatures | None]:
        if self.away:
            msg = "the store is away"
            raise Unavailable(msg)
        self.asked.append(list(user_ids))
        return super().read(user_ids)


def made(config: ServingConfig = PLAIN) -> tuple[Answerer, Brittle, ManualClock]:
    store, clock = Brittle(), ManualClock(NOW_MS)
    store.write([user("ann", ("axe", "view"))])
    return Answerer(store, recommender(config=config), config, TOPICS, clock), store, clock


def request(offset: int, user_id: str = "ann", partition: int = 2, **more: object) -> Taken:
    value = json.dumps({"request_id": f"r{offset}", "user_id": user_id, "k": 2, **more}).encode()
    return Taken(TOPICS.requests, partition, PlainRecord(user_id.encode(), value, offset, NOW_MS))


def event(offset: int, user_id: str = "ann", at_ms: int = NOW_MS, place: int = 7) -> Taken:
    value = msgpack_encode(example(user_id, f"e{offset}", place))
    return Taken(TOPICS.examples, 0, PlainRecord(user_id.encode(), value, offset, at_ms))


def decoded(answers: Sequence[Outgoing]) -> list[Recommendation]:
    return [decode_recommendation(answer.value or b"") for answer in answers]


def test_a_request_is_answered_under_its_users_key_and_its_own_id() -> None:
    answerer, _, _ = made()
    replies = answerer.answer(answerer.take([request(41), request(42, "zoe")]))
    assert [answer.key for answer in replies.answers] == [b"ann", b"zoe"]
    ann, zoe = decoded(replies.answers)
    assert (ann.recommendation_id, ann.request_id) == ("shop.requests-2-41", "r41")
    assert (ann.trigger, ann.seen_event_id, ann.path) == ("request", "ann-1", "model")
    assert (zoe.recommendation_id, zoe.path) == ("shop.requests-2-42", "cold_user")
    assert [entry.item_id for entry in ann.items] == ["axe", "bit"]
    assert ann.timings is not None


def test_a_repeated_record_gets_the_same_id() -> None:
    first, again = made()[0], made()[0]
    ids = [
        decoded(answerer.answer(answerer.take([request(5)])).answers)[0].recommendation_id
        for answerer in (first, again)
    ]
    assert ids[0] == ids[1]


def test_the_users_of_a_micro_batch_are_read_in_one_call_each_once() -> None:
    answerer, store, _ = made()
    answerer.answer(answerer.take([request(1), request(2, "zoe"), request(3), event(1, "bob")]))
    assert store.asked == [["ann", "zoe", "bob"]]


def test_broken_requests_go_to_the_dead_letters_and_their_neighbours_are_answered() -> None:
    answerer, _, _ = made()
    broken = Taken(TOPICS.requests, 1, PlainRecord(b"k", b"{oh no", 9, NOW_MS))
    too_many = request(10, k=10_000)
    work = answerer.take([request(8), broken, too_many, request(11)])
    assert [answer.request_id for answer in decoded(answerer.answer(work).answers)] == [
        "r8",
        "r11",
    ]
    assert [letter.value for letter in work.refused] == [b"{oh no", too_many.record.value]
    assert work.reasons == ["not_json", "out_of_range"]
    headers = dict(work.refused[0].headers)
    assert headers["__connect.errors.offset"] == b"9"
    assert headers["tidemill.dlq.role"] == b"serving"


def test_a_broken_example_is_refused_too() -> None:
    answerer, _, _ = made()
    work = answerer.take([Taken(TOPICS.examples, 0, PlainRecord(b"k", b"\xc1", 3, NOW_MS))])
    assert (work.asks, [letter.value for letter in work.refused]) == ([], [b"\xc1"])
    assert work.reasons == ["failed"]  # nobody but us writes examples


def test_a_shops_rubbish_never_halts_serving_our_own_does() -> None:
    answerer, _, _ = made()
    rubbish = [
        Taken(TOPICS.requests, 1, PlainRecord(b"k", b"{oh no", n, NOW_MS)) for n in range(2_000)
    ]
    assert len(answerer.take(rubbish).refused) == 2_000
    ours = [Taken(TOPICS.examples, 0, PlainRecord(b"k", b"\xc1", n, NOW_MS)) for n in range(60)]
    with pytest.raises(TooManyRefused, match="serving failed on 51 of the last 1000"):
        answerer.take(ours)


def test_a_request_on_which_our_own_code_fails_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(record: Record, _: object) -> Request:
        found = parse_request(record)
        if found.user_id == "bob":
            raise ZeroDivisionError
        return found

    monkeypatch.setattr("serving.answer.parse_request", faulty)
    answerer, _, _ = made()
    work = answerer.take([request(1), request(2, "bob"), request(3)])
    assert [answer.request_id for answer in decoded(answerer.answer(work).answers)] == ["r1", "r3"]
    assert work.reasons == ["failed"]
    assert dict(work.refused[0].headers)["tidemill.dlq.disposition"] == b"replayable"


def test_a_request_that_breaks_even_the_plain_answer_gets_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> list[Recommendation]:
        raise ZeroDivisionError

    answerer, _, _ = made()
    monkeypatch.setattr(answerer.recommender, "answer_many", fails)
    monkeypatch.setattr(answerer.recommender, "answer_plainly", fails)
    (empty,) = decoded(answerer.answer(answerer.take([request(1)])).answers)
    assert (empty.request_id, empty.path, empty.items) == ("r1", "no_model", ())


def test_work_in_hand_survives_a_store_that_is_away() -> None:
    answerer, store, _ = made()
    work = answerer.take([request(1), event(1, "zoe")])
    store.away = True
    with pytest.raises(Unavailable):
        answerer.answer(work)
    store.away = False
    assert len(answerer.answer(work).answers) == 2


def test_an_event_is_pushed_once_and_names_its_place() -> None:
    answerer, _, clock = made()
    work = answerer.take([event(1, place=7), event(2, place=8)])
    [push] = decoded(answerer.answer(work).answers)
    assert (push.recommendation_id, push.request_id) == ("shop.events-0-7", None)
    assert (push.trigger, push.surface, push.seen_event_id) == ("event", "push", "ann-1")
    assert "assam" not in [entry.item_id for entry in push.items], "the event's own item"
    assert work.received_ms == [NOW_MS]
    assert answerer.debounce.held() == {0: 2}
    clock.advance(2.0)
    [trailing] = decoded(answerer.answer(answerer.take([])).answers)
    assert trailing.recommendation_id == "shop.events-0-8"


def test_old_events_are_not_pushed() -> None:
    answerer, _, _ = made()
    assert answerer.take([event(1, at_ms=NOW_MS - 61_000)]).asks == []


class Choosy(PlainRanker):
    """A model that breaks down on one user."""

    def rank_many(self, histories, *args, **kwargs):  # type: ignore[no-untyped-def]
        if any(step.item_id == "axe" for history in histories for step in history):
            msg = "no axes here"
            raise RuntimeError(msg)
        return super().rank_many(histories, *args, **kwargs)


def test_a_request_that_breaks_the_model_is_answered_without_it_and_alone() -> None:
    answerer, store, _ = made()
    store.write([user("bob", ("chai", "view"))])
    answerer.recommender.ranker = Choosy(answerer.recommender.index.catalog)
    work = answerer.take([request(1, "bob"), request(2, "ann", context_item="file")])
    bob, ann = decoded(answerer.answer(work).answers)
    assert (bob.path, bob.items[0].item_id) == ("model", "assam")
    assert (ann.path, ann.model_version) == ("no_model", None)
    assert [entry.item_id for entry in ann.items] == ["edger", "drill"]


def test_a_store_that_is_away_is_not_mistaken_for_a_broken_model() -> None:
    answerer, store, _ = made()
    store.away = True
    with pytest.raises(Unavailable):
        answerer.answer(answerer.take([request(1), request(2)]))


def test_nothing_in_nothing_out() -> None:
    answerer, store, _ = made()
    replies = answerer.answer(answerer.take([]))
    assert (replies.answers, store.asked) == ([], [])
