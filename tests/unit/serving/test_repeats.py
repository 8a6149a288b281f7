"""The same request, the same answer; a request that waited too long is told so."""

from __future__ import annotations

import json

import msgspec
import pytest

from serving.answer import Answerer, Replies, Taken
from serving.backlog import Backlog
from serving.config import ServingConfig
from serving.recent import ENTRY_BYTES, Kept, RecentAnswers
from stream.batching import PlainRecord
from stream.clock import ManualClock
from stream.errors import SettingsError
from tests.unit.serving.shop import NOW_MS, PLAIN
from tests.unit.serving.test_answer import TOPICS, decoded, event, made, request


def again(offset: int, of: int, **more: object) -> Taken:
    """The request `r<of>` at another place."""
    value = json.dumps({"request_id": f"r{of}", "user_id": "ann", "k": 2, **more}).encode()
    return Taken(TOPICS.requests, 2, PlainRecord(b"ann", value, offset, NOW_MS))


def answer(answerer: Answerer, *taken: Taken) -> Replies:
    replies = answerer.answer(answerer.take(taken))
    answerer.sent(replies)
    return replies


def test_a_request_sent_again_gets_the_same_bytes_though_all_has_changed() -> None:
    answerer, store, clock = made()
    first = answer(answerer, request(1)).answers
    store.asked.clear()
    answerer.recommender.ranker = None  # type: ignore[assignment]
    clock.advance(PLAIN.repeat_window_s)
    replies = answer(answerer, again(2, of=1), again(3, of=1, k=7))
    assert replies.answers == [*first, *first]
    assert store.asked == []


def test_another_users_request_of_the_same_id_is_another_request() -> None:
    answerer, _, _ = made()
    answer(answerer, request(1))
    [zoe] = decoded(answer(answerer, request(1, "zoe", partition=3)).answers)
    assert (zoe.user_id, zoe.recommendation_id) == ("zoe", "shop.requests-3-1")


def test_a_request_twice_in_one_micro_batch_is_ranked_once_and_answered_twice() -> None:
    answerer, _, _ = made()
    replies = answer(answerer, request(1), again(2, of=1), request(3))
    one, three, copy = decoded(replies.answers)
    assert (one, three.request_id) == (copy, "r3")
    assert len(replies.paths) == 2


def test_a_record_read_again_is_passed_over_when_its_answer_is_out() -> None:
    answerer, _, _ = made()
    answer(answerer, request(1))
    work = answerer.take([request(1)])
    assert work.empty
    assert answerer.answer(work).answers == []


def test_what_was_never_sent_is_not_remembered() -> None:
    answerer, _, _ = made()
    answerer.answer(answerer.take([request(1)]))
    assert len(answerer.take([again(2, of=1)]).asks) == 1


def test_answers_read_back_from_the_topic_are_remembered_pushes_too() -> None:
    config = ServingConfig(push_debounce_s=0.0)
    before, _, _ = made(config)
    sent = answer(before, request(1), event(1, "zoe", place=7)).answers
    after, _, _ = made(config)
    for offset, out in enumerate(sent):
        after.recent.keep_record(PlainRecord(out.key, out.value, offset))
    after.recent.keep_record(PlainRecord(b"k", b"{not ours", 9))
    work = after.take([event(1, "zoe", place=7), again(2, of=1)])
    assert work.asks == []
    assert after.answer(work).answers == sent[:1]


def test_after_the_window_a_request_is_a_new_one_with_a_new_id() -> None:
    answerer, _, clock = made()
    answer(answerer, request(1))
    clock.advance(PLAIN.repeat_window_s + 1)
    [late] = decoded(answer(answerer, again(2, of=1)).answers)
    assert late.recommendation_id == "shop.requests-2-2"


def test_what_is_remembered_stays_within_its_bytes_and_the_newest_stay() -> None:
    most = 10 * (ENTRY_BYTES + 100)
    recent = RecentAnswers(60, most, ManualClock(NOW_MS))
    for n in range(1_000):
        recent.keep(("ann", f"r{n}"), Kept(f"id{n}", b"x" * 100, NOW_MS))
        assert recent.size <= most
    assert len(recent) == 10
    assert recent.find(("ann", "r999")) is not None
    assert recent.find(("ann", "r989")) is None


def test_a_request_that_waited_too_long_is_told_so_without_store_or_model() -> None:
    answerer, store, clock = made(msgspec.structs.replace(PLAIN, request_max_age_s=5.0))
    clock.advance(5.5)
    fresh = request(2)
    fresh = fresh._replace(
        record=PlainRecord(b"ann", fresh.record.value, 2, clock.now_ms() - 5_000)
    )
    replies = answer(answerer, request(1, "zoe"), fresh)
    young, stale = decoded(replies.answers)
    assert (young.request_id, young.path) == ("r2", "model")
    assert (stale.request_id, stale.path, stale.items) == ("r1", "expired", ())
    assert (stale.recommendation_id, stale.trigger) == ("shop.requests-2-1", "request")
    assert store.asked == [["ann"]]
    assert answer(answerer, again(3, of=2)).answers == replies.answers[:1]


def waiting(offset: int, age_s: float, partition: int = 0) -> Taken:
    at_ms = NOW_MS - round(age_s * 1000)
    return Taken(TOPICS.requests, partition, PlainRecord(None, b"", offset, at_ms))


def offsets(taken: list[Taken]) -> list[int]:
    return [one.record.offset for one in taken]


FRESH = ServingConfig(fresh_first=True, request_max_age_s=10.0, max_batch=2, look_ahead=5)


def test_under_overload_the_newest_are_answered_and_the_others_expire() -> None:
    """Ten a second are asked, two are answered: nobody who gets a list waited for more than 1 s."""
    clock = ManualClock(NOW_MS)
    config = msgspec.structs.replace(FRESH, look_ahead=1_000)
    backlog = Backlog(config, TOPICS.requests, clock)
    ages, expired, offset = [], 0, 0
    for _ in range(60):
        news = []
        for _ in range(10):
            clock.advance(0.1)
            news.append(Taken("shop.requests", 0, PlainRecord(None, b"", offset, clock.now_ms())))
            offset += 1
        for taken in backlog.next(news):
            age_s = (clock.now_ms() - taken.record.timestamp) / 1000
            expired += age_s > config.request_max_age_s
            ages += [age_s] if age_s <= config.request_max_age_s else []
    assert max(ages) <= 1.0
    assert len(ages) == 120
    assert len(backlog) + expired + len(ages) == offset
    assert len(backlog) <= 10 * (config.request_max_age_s + 1)


def test_the_commit_stays_before_the_oldest_that_waits_on_each_partition() -> None:
    backlog = Backlog(FRESH, TOPICS.requests, ManualClock(NOW_MS))
    polled = [waiting(7, 4.0), waiting(8, 1.0), waiting(3, 3.0, 1), waiting(4, 2.0, 1)]
    assert offsets(backlog.next(polled)) == [8, 4]
    assert backlog.held() == {("shop.requests", 0): 7, ("shop.requests", 1): 3}
    backlog.drop({("shop.requests", 0)})
    assert backlog.held() == {("shop.requests", 1): 3}
    backlog.drop(None)
    assert (len(backlog), backlog.held()) == (0, {})


def test_reading_ahead_is_bounded_and_events_pass_by() -> None:
    backlog = Backlog(FRESH, TOPICS.requests, ManualClock(NOW_MS))
    assert backlog.room == 5
    seen = event(1)
    given = backlog.next([seen, *(waiting(n, 1.0) for n in range(5))])
    assert (given[0], len(given), backlog.room) == (seen, 3, 2)
    backlog.next([waiting(5, 1.0), waiting(6, 1.0)])
    assert backlog.room == 2


def test_without_fresh_first_the_order_is_the_logs_and_nothing_waits_here() -> None:
    backlog = Backlog(PLAIN, TOPICS.requests, ManualClock(NOW_MS))
    polled = [waiting(1, 1.0), waiting(2, 9.0)]
    assert (backlog.next(polled), len(backlog), backlog.room) == (polled, 0, PLAIN.max_batch)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fresh_first": True}, r"request_max_age_s is 0"),
        (
            {"fresh_first": True, "request_max_age_s": 100.0},
            r"repeat_window_s is 120 .* at least twice .* 200",
        ),
    ],
)
def test_settings_that_would_break_a_promise_are_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        ServingConfig(**changes)  # type: ignore[arg-type]
