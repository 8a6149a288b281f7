"""The simulated shop is repeatable, honest about its faults, and hides something to learn."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from random import Random
from typing import cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.batching import PlainRecord
from stream.errors import BadRecord
from stream.events import Event, Recommendation, RecommendedItem
from stream.parse import TopicKind, parse_event, parse_item, parse_request
from stream.shop import Shop, ShopConfig, ShopRecord
from stream.shop_faults import FAULTS, break_record
from stream.shop_words_en import ENGLISH

Array = NDArray[np.float64]


def take(shop: Shop, count: int) -> list[ShopRecord]:
    return list(itertools.islice(shop.records(), count))


def as_event(record: ShopRecord) -> Event:
    kind = cast(TopicKind, record.topic_kind)
    return parse_event(kind, record.value, "shop-0-0", record.ts_ms, record.ts_ms)


def test_the_same_seed_gives_the_same_records_and_another_seed_others() -> None:
    assert take(Shop(3), 3_000) == take(Shop(3), 3_000)
    assert Shop(3).item_records() == Shop(3).item_records()
    assert take(Shop(3), 50) != take(Shop(4), 50)


def test_what_a_shopper_sees_is_part_of_what_repeats() -> None:
    def run() -> list[ShopRecord]:
        shop, records = Shop(5, ShopConfig(shoppers=8)), []
        for _ in range(300):
            records += shop.step()
            for record in [r for r in records[-3:] if r.label == "request"]:
                shop.see(answer(shop, parse_request(PlainRecord(None, record.value, 0)).user_id))
        return records

    first = run()
    assert first == run()
    followed = [as_event(r) for r in first if r.label == "event"]
    assert sum(event.recommendation_id is not None for event in followed) > 10
    assert all(event.recommendation_id in (None, "rec-1") for event in followed)


def answer(shop: Shop, user_id: str) -> Recommendation:
    items = tuple(RecommendedItem(item_id=item.item_id, score=1.0) for item in shop.items())
    return Recommendation(
        recommendation_id="rec-1",
        request_id=None,
        user_id=user_id,
        ts_ms=0,
        items=items,
        path="model",
        model_version=1,
    )


def test_a_stranger_can_see_an_answer_and_unknown_items_do_no_harm() -> None:
    shop = Shop(5)
    shop.see(answer(shop, "nobody"))
    item = RecommendedItem(item_id="no such item", score=1.0)
    shop.see(
        Recommendation(
            recommendation_id="r",
            request_id=None,
            user_id="shopper-0000",
            ts_ms=0,
            items=(item,),
            path="model",
            model_version=None,
        )
    )
    assert len(take(shop, 500)) == 500


def test_every_record_is_what_its_label_says() -> None:
    ids: set[str] = set()
    for record in take(Shop(6), 8_000):
        match record.label:
            case "item":
                item = parse_item(PlainRecord(record.key, record.value, 0))
                assert item.title
            case "request":
                parse_request(PlainRecord(record.key, record.value, 0))
            case "broken":
                with pytest.raises(BadRecord):
                    as_event(record)
            case "event" | "bot":
                event = as_event(record)
                assert event.event_id not in ids
                assert record.key == event.user_id.encode()
                assert event.user_id.startswith("bot-") == (record.label == "bot")
                ids.add(event.event_id)
            case "duplicate":
                assert as_event(record).event_id in ids


def test_the_shares_of_trouble_are_those_configured() -> None:
    config = ShopConfig(bot_share=0.05, duplicate_share=0.1, broken_share=0.03)
    labels: Counter[str] = Counter(r.label for r in take(Shop(8, config), 20_000))
    for label, share in (("bot", 0.05), ("duplicate", 0.1), ("broken", 0.03)):
        assert labels[label] == pytest.approx(share * labels["event"], rel=0.35)
    calm = ShopConfig(bot_share=0, duplicate_share=0, broken_share=0, shift_share=0)
    shop = Shop(8, calm)
    assert {record.label for record in take(shop, 5_000)} == {"item", "request", "event"}
    assert shop.planted_shifts == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_for_its_own_reason(fault: str) -> None:
    topic, reason = FAULTS[fault]
    now_ms = ShopConfig().start_ms
    for seed in range(20):
        value = break_record(Random(seed), fault, "ann", "tea", now_ms)
        with pytest.raises(BadRecord) as caught:
            parse_event(topic, value, "t-0-0", now_ms, now_ms)
        assert caught.value.reason == reason


def test_time_starts_where_told_and_never_runs_back() -> None:
    config = ShopConfig(start_ms=1_777_626_000_000, mean_gap_ms=200)
    events = Shop(2, config).clean_events(2_000)
    times = [event.ts_ms for event in events]
    assert times == sorted(times)
    assert 0 <= times[0] - config.start_ms < 3_000
    assert (times[-1] - times[0]) / len(times) == pytest.approx(200, rel=0.15)


def test_planted_shifts_move_what_a_shopper_looks_at() -> None:
    config = ShopConfig(shoppers=30, shift_after=40, shift_share=0.1)
    shop = Shop(11, config)
    events = [e for e in shop.clean_events(12_000) if not e.user_id.startswith("bot-")]
    path_of = {item.item_id: item.category for item in shop.items()}
    of_user: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for event in events:
        of_user[event.user_id].append(cast(tuple[str, ...], path_of[event.item_id]))
    assert len(shop.planted_shifts) > 20
    moved = 0
    for shift in shop.planted_shifts:
        assert shift.from_category[0] != shift.to_category[0]
        assert events[shift.event - 1].ts_ms <= shift.ts_ms <= events[shift.event].ts_ms
        past = of_user[shift.user_id][max(0, shift.user_events - 40) : shift.user_events]
        future = of_user[shift.user_id][shift.user_events : shift.user_events + 40]
        moved += future.count(shift.to_category) > past.count(shift.to_category)
    assert moved / len(shop.planted_shifts) > 0.75


def test_a_season_changes_what_is_wanted_from_one_event_to_the_next() -> None:
    config = ShopConfig(shift_share=0, bot_share=0)
    plain = Shop(3, config).clean_events(6_000)
    shop = Shop(3, msgspec.structs.replace(config, season_at=3_000, season_share=0.8))
    events = shop.clean_events(6_000)
    assert events[:3_000] == plain[:3_000]

    path_of = {item.item_id: item.category for item in shop.items()}

    def visited(user_id: str, part: list[Event]) -> Counter[object]:
        return Counter(path_of[e.item_id] for e in part if e.user_id == user_id)

    moved = {shift.user_id: shift for shift in shop.planted_shifts}
    assert all(shift.event >= 3_000 for shift in moved.values())
    came = {event.user_id for event in events[3_200:]}
    assert len(came & moved.keys()) / len(came) == pytest.approx(0.8, abs=0.12)
    old = [visited(user, events[:3_000])[shift.from_category] for user, shift in moved.items()]
    new = [visited(user, events[3_000:])[shift.to_category] for user, shift in moved.items()]
    still = [visited(user, events[3_000:])[shift.from_category] for user, shift in moved.items()]
    assert sum(new) > 0.7 * sum(old)
    assert sum(still) < 0.3 * sum(new)
    before, after = (
        Counter(e.item_id for e in part) for part in (plain[1_500:3_000], plain[3_000:4_500])
    )
    season = Counter(e.item_id for e in events[3_000:4_500])
    assert overlap(before, season) < 0.5 * overlap(before, after)


def overlap(one: Counter[str], other: Counter[str]) -> int:
    """How many of the twenty most wanted items of two times are the same."""
    return len({i for i, _ in one.most_common(20)} & {i for i, _ in other.most_common(20)})


def test_stars_and_texts_agree_and_reviews_follow_purchases() -> None:
    bought: set[tuple[str, str]] = set()
    stars: list[float] = []
    for event in Shop(9).clean_events(12_000):
        pair = (event.user_id, event.item_id)
        if event.kind == "purchase":
            bought.add(pair)
        if event.kind == "review":
            assert pair in bought
            assert event.rating is not None
            good = any(word in event.text for word in ("love", "Perfect", "Fantastic", "happy"))
            bad = any(word in event.text for word in ("Terrible", "Awful", "Cheap, useless"))
            assert not (good and event.rating < 4) and not (bad and event.rating > 1)
            stars.append(event.rating)
    assert set(stars) == {1, 2, 3, 4, 5}


def test_the_catalogue_reads_like_a_shop_and_grows() -> None:
    shop = Shop(4)
    items = shop.items()
    assert len({item.item_id for item in items}) == len({item.title for item in items}) == 600
    assert {item.category for item in items} == {shelf.path for shelf in ENGLISH.shelves}
    assert all(item.brand in item.title and item.description and item.price for item in items)
    changes = [r for r in take(shop, 12_000) if r.topic_kind == "items"]
    known = {item.item_id for item in items}
    fresh = [r for r in changes if r.key is not None and r.key.decode() not in known]
    assert len(fresh) > 20 and len(shop.items()) > 620
    assert any(not parse_item(PlainRecord(r.key, r.value, 0)).available for r in changes)


def test_history_beats_popularity_and_popularity_beats_chance() -> None:
    """Three rankers a reader can check, each event ranked before it is counted."""
    scores = np.mean([rank_a_stream(seed) for seed in (1, 2, 3)], axis=0)
    chance, popular, history = scores
    assert popular > 4 * chance
    assert history > 1.6 * popular


def rank_a_stream(seed: int, events: int = 3_000) -> tuple[float, float, float]:
    """NDCG@10 of chance, popularity, and popularity x the user's shelves x what followed."""
    shop = Shop(seed)
    stream = shop.clean_events(events)
    items = shop.items()
    row = {item.item_id: at for at, item in enumerate(items)}
    shelf = np.array([[s.path == item.category for s in ENGLISH.shelves] for item in items], float)
    count, follow = np.zeros(len(items)), np.zeros((len(items), len(items)))
    seen: dict[str, Array] = defaultdict(lambda: np.full(len(ENGLISH.shelves), 0.3))
    last: dict[str, int] = {}
    luck = np.random.default_rng(seed)
    gains = np.zeros(3)
    for event in stream:
        target, before = row[event.item_id], last.get(event.user_id)
        popular = np.log(count + 0.05)
        next_to = np.log(follow[before] + 0.05) if before is not None else 0.0
        history = 0.6 * popular + next_to + np.log(shelf @ seen[event.user_id])
        rankings = (luck.random(len(items)), popular, history)
        gains += [gain_at_10(scores, target) for scores in rankings]
        count *= 0.5 ** (1 / 1_000)
        count[target] += 1
        if before is not None:
            follow[before, target] += 1
        seen[event.user_id] += shelf[target]
        last[event.user_id] = target
    chance, popular_gain, history_gain = gains / events
    return float(chance), float(popular_gain), float(history_gain)


def gain_at_10(scores: Array, target: int) -> float:
    """DCG of one relevant item, ties in the middle."""
    ahead = np.sum(scores > scores[target]) + (np.sum(scores == scores[target]) - 1) / 2
    return float(1 / np.log2(ahead + 2)) if ahead < 10 else 0.0
