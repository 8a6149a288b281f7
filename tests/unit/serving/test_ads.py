"""Ads: budgets are kept, money lasts through the day, and nobody pays more than it is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.ads import DAY_MS, Ad, Desk, Floats, Ledger, auction

RESERVE = 0.01


def chance(score_N: Floats, place_N: NDArray[np.int64]) -> Floats:
    return 0.2 / (1 + np.exp(-score_N)) / place_N


def desk(per_user: int = 1_000) -> Desk:
    return Desk(lambda _surface: chance, RESERVE, per_user)


ads = st.lists(
    st.tuples(st.floats(0, 50), st.floats(-3, 3)).map(lambda one: one), min_size=0, max_size=8
)


@settings(max_examples=200)
@given(ads, st.lists(st.integers(1, 10), unique=True, max_size=4))
def test_a_second_price_is_never_above_what_the_winner_offers(
    drawn: Sequence[tuple[float, float]], places: Sequence[int]
) -> None:
    every = [Ad(f"ad-{n}", bid, None, score) for n, (bid, score) in enumerate(drawn)]
    bids = {ad.item_id: ad.bid for ad in every}
    won = auction(every, sorted(places), chance, RESERVE)
    assert len({one.item_id for one in won}) == len(won) <= len(places)
    for one in won:
        assert RESERVE <= one.price <= one.probability * bids[one.item_id] <= bids[one.item_id]


def test_to_bid_what_a_click_is_worth_is_best() -> None:
    """The point of a second price: no other bid gains more, whatever the others bid."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        worth, others = rng.uniform(0, 5), rng.uniform(0, 5, 3)
        gains = []
        for bid in (worth, *rng.uniform(0, 6, 5)):
            every = [Ad("mine", bid, None, 0.0)]
            every += [Ad(f"ad-{n}", other, None, 0.0) for n, other in enumerate(others)]
            won = auction(every, [1], chance, RESERVE)
            mine = [one for one in won if one.item_id == "mine"]
            gains.append(sum(one.probability * worth - one.price for one in mine))
        assert gains[0] >= max(gains) - 1e-12


def day(every: Sequence[Ad], shows: int = 8_000) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Play a day of lists; what each ad spent, and the first ad's spending by hour."""
    shop, rng = desk(), np.random.default_rng(5)
    highest: dict[str, float] = {}
    by_hour_H = np.zeros(24)
    for n in range(shows):
        now_ms = int(DAY_MS * n / shows)
        moved = [ad._replace(score=float(rng.normal())) for ad in every]
        for one in shop.sell(
            f"requests-{n % 3}-{n}", f"u{n % 500}", "home", moved, [1, 4], now_ms=now_ms
        ):
            highest[one.item_id] = max(highest.get(one.item_id, 0.0), one.price)
            if one.item_id == every[0].item_id:
                by_hour_H[now_ms * 24 // DAY_MS] += one.price
        shop.out()
    spent = {ad.item_id: shop.ledger.spent(ad.item_id, DAY_MS - 1) for ad in every}
    for ad in every:
        if ad.budget is not None:
            assert spent[ad.item_id] <= ad.budget + highest.get(ad.item_id, 0.0)
    return spent, by_hour_H


def test_no_budget_is_exceeded_by_more_than_a_price_and_money_lasts_through_the_day() -> None:
    every = [
        Ad("a", 3.0, 100.0, 0),
        Ad("b", 2.5, 60.0, 0),
        Ad("c", 2.0, 5.0, 0),
        Ad("d", 1, None, 0),
    ]
    spent, by_hour_H = day(every)
    assert spent["a"] == pytest.approx(100.0, rel=0.02)
    assert spent["c"] == pytest.approx(5.0, rel=0.1)
    assert by_hour_H.min() > 0.9 * 100 / 24
    assert by_hour_H.max() < 1.1 * 100 / 24


def test_a_user_sees_an_ad_so_often_a_day() -> None:
    shop = desk(per_user=2)
    soap, noon = [Ad("soap", 3.0, None, 0.0)], DAY_MS // 2
    shown = [
        len(shop.sell(f"r-0-{n}", "ann", "home", soap, [1], now_ms=noon + n)) for n in range(4)
    ]
    assert shown == [1, 1, 0, 0]
    assert shop.sell("r-0-9", "bob", "home", soap, [1], now_ms=noon)
    assert shop.sell("r-0-10", "ann", "home", soap, [1], now_ms=noon + DAY_MS)


def test_a_list_that_is_made_again_pays_once() -> None:
    shop, noon = desk(per_user=1), DAY_MS // 2
    soap, comb = Ad("soap", 3.0, 90.0, 0.0), Ad("comb", 3.0, 90.0, 5.0)
    first = shop.sell("r-0-1", "ann", "home", [soap], [1], now_ms=noon)
    second = shop.sell("r-0-1", "ann", "home", [soap, comb], [1], now_ms=noon)
    assert [one.item_id for one in (*first, *second)] == ["soap", "comb"]
    assert shop.ledger.spent("soap", noon) == 0.0
    assert shop.ledger.spent("comb", noon) == second[0].price
    shop.give_up(noon)
    assert shop.ledger.spent("comb", noon) == 0.0
    assert shop.sell("r-0-2", "ann", "home", [soap], [1], now_ms=noon)


def test_two_processes_know_of_each_other_what_is_spent() -> None:
    first, second = Ledger(), Ledger()
    first.charge(0, "soap", 2.0, 0)
    second.charge(1, "soap", 3.0, 0)
    for change in first.changes():
        second.hear(*change)
    assert second.spent("soap", 0) == 5.0
    # The first one's partition comes to the second, which goes on from there.
    second.charge(0, "soap", 1.0, 0)
    assert (0, "soap", 0, 3.0) in second.changes()
