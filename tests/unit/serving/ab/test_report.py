"""What a report says of a test: rates per list, closed lists only, repeats counted once."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from serving.ab.report import report_of
from serving.ab.totals import totals_of
from stream.events import Outcome
from stream.variants import Variant

ARMS = (Variant(name="model"), Variant(name="popularity", ranker="popularity"))
NAMES = ("model", "popularity")


def outcome(number: int, item: str = "pot", **facts: object) -> Outcome:
    fixed: dict[str, object] = {
        "recommendation_id": f"list-{number}",
        "user_id": f"user-{number % 7}",
        "item_id": item,
        "place": 1,
        "places": 2,
        "surface": "home",
        "score": 1.0,
        "shown_ms": number,
    }
    return Outcome(**(fixed | facts))  # type: ignore[arg-type]


def test_rates_are_per_list_and_each_purchase_counts_once() -> None:
    bought = outcome(1, clicked_ms=5, bought_ms=9, price=10.0, quantity=2, final=True)
    told = [
        outcome(1, clicked_ms=5),
        bought,
        bought,
        outcome(1, "cup", final=True),
        outcome(2, final=True),
        outcome(2, "cup", final=True),
    ]
    random.Random(4).shuffle(told)

    mine = totals_of(told, NAMES, 100)["model"]

    assert mine.lists_U.sum() == 2
    assert {name: values.sum() for name, values in mine.done.items()} == {
        "ctr": 1.0,
        "cvr": 1.0,
        "revenue": 20.0,
    }


def test_lists_whose_window_is_open_do_not_count_even_if_they_were_clicked() -> None:
    told = [outcome(1, final=True), outcome(50, clicked_ms=51)]
    assert totals_of(told, NAMES, 50)["model"].done["ctr"].sum() == 0.0


def test_lists_that_nothing_closes_do_not_count_however_long_ago_they_were_shown() -> None:
    told = [outcome(1, final=True), outcome(9, clicked_ms=10), outcome(9, "cup")]
    assert totals_of(told, NAMES, 1_000_000)["model"].done["ctr"].sum() == 0.0


def test_users_of_two_shops_with_the_same_id_are_two() -> None:
    told = [
        outcome(1, user_id="ada", final=True),
        outcome(2, user_id="ada", tenant="acme", final=True),
    ]
    assert totals_of(told, NAMES, 100)["model"].users == 2


def shop(rng: random.Random, rates: dict[str, float]) -> Iterator[Outcome]:
    for number in range(6_000):
        user = rng.randrange(1_500)
        variant = NAMES[user % 2]
        taken = rng.random() < rates[variant]
        yield outcome(
            number,
            user_id=f"user-{user}",
            variant=variant,
            clicked_ms=number + 1 if taken else None,
            final=True,
        )


def test_a_better_variant_is_proven_and_an_equal_one_is_not() -> None:
    rng = random.Random(1)
    worse = report_of(ARMS, totals_of(shop(rng, {"model": 0.2, "popularity": 0.1}), NAMES, 10**6))
    equal = report_of(ARMS, totals_of(shop(rng, {"model": 0.2, "popularity": 0.2}), NAMES, 10**6))

    ctr = worse.arms[1].measures[0]
    assert (ctr.measure, ctr.proven) == ("ctr", True)
    assert ctr.value == pytest.approx(0.1, abs=0.02)
    assert ctr.low is not None
    assert ctr.high is not None
    assert ctr.low < -0.1 < ctr.high < 0
    assert not any(one.proven for arm in equal.arms for one in arm.measures)
    assert worse.is_sound
    assert equal.is_sound


def test_users_who_vanish_from_one_variant_make_the_report_unsound() -> None:
    lost = [one for one in shop(random.Random(2), dict.fromkeys(NAMES, 0.1))]
    lost = [one for one in lost if one.variant == "model" or int(one.user_id[5:]) % 3]

    assert not report_of(ARMS, totals_of(lost, NAMES, 10**6)).is_sound


def test_a_test_that_nobody_has_seen_says_nothing() -> None:
    report = report_of(ARMS, totals_of([], NAMES, 0))
    assert [arm.users for arm in report.arms] == [0, 0]
    assert not any(one.proven for arm in report.arms for one in arm.measures)
