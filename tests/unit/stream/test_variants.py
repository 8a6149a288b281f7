"""Who gets which variant: the same one for ever, as many as asked, and dealt anew by a salt."""

from __future__ import annotations

from collections import Counter

import pytest

from stream.errors import SettingsError
from stream.variants import Assignment, Variant, VariantsConfig

ARMS = (Variant(name="model", weight=3), Variant(name="popularity", weight=1))
USERS = [f"user-{number}" for number in range(20_000)]


def test_users_are_dealt_by_weight() -> None:
    dealt = Counter(Assignment(VariantsConfig(arms=ARMS)).name_of(user) for user in USERS)
    assert dealt["model"] / len(USERS) == pytest.approx(0.75, abs=0.01)


def test_another_salt_deals_independently() -> None:
    first, second = (Assignment(VariantsConfig(arms=ARMS, salt=salt)) for salt in "ab")
    both = sum(first.name_of(u) == second.name_of(u) == "popularity" for u in USERS)
    assert both / len(USERS) == pytest.approx(1 / 16, abs=0.01)


def test_more_weight_moves_users_into_an_arm_and_none_out_of_it() -> None:
    more = (Variant(name="model", weight=1), Variant(name="popularity", weight=1))
    before, after = (Assignment(VariantsConfig(arms=arms)) for arms in (ARMS, more))
    moved = {(before.name_of(u), after.name_of(u)) for u in USERS}
    assert ("popularity", "model") not in moved


def test_only_the_control_teaches_where_asked() -> None:
    dealt = Assignment(VariantsConfig(arms=ARMS, learn_from="control"))
    assert {(dealt.name_of(u), dealt.teaches(u)) for u in USERS} == {
        ("model", True),
        ("popularity", False),
    }


@pytest.mark.parametrize("names", [("a", "a"), ("a",)])
def test_arms_that_are_no_test_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=r"ab\.arms"):
        VariantsConfig(arms=tuple(Variant(name=name) for name in names))
