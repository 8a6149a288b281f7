"""What search learns of clicks."""

from __future__ import annotations

import numpy as np
import pytest

from learner.search.fusion import FEATURES, PLAIN, SearchHead, Visitor, fits, fresh

WORDS, MEANING, PERSONAL = (FEATURES.index(name) for name in ("words", "meaning", "personal"))


def lists(count: int, by: int, seed: int = 0, places: int = 8) -> list[tuple[np.ndarray, int]]:
    """Lists in which the item is meant that has most of one feature."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shown = np.zeros((places, len(FEATURES)))
        shown[:, [WORDS, MEANING, PERSONAL]] = random.random((places, 3))
        made.append((shown, int(shown[:, by].argmax())))
    return made


def test_a_useless_feature_comes_to_count_nothing() -> None:
    head = SearchHead()
    for shown, meant in lists(2_000, WORDS):
        head.learn(shown, [meant], "long", "cold", by_place=False)
    weights = head.weights("long", "cold")
    assert weights["meaning"] < 0.05 * weights["words"]


def test_what_is_personal_opens_the_gate_where_it_pays() -> None:
    head = SearchHead()
    before = head.opened("short", "known")
    for shown, meant in lists(400, PERSONAL):
        head.learn(shown, [meant], "short", "known", by_place=False)
    assert head.opened("short", "known") > max(0.9, before)
    assert head.opened("long", "known") == fresh().gate[2][2]


def test_the_gate_stays_shut_where_it_does_not() -> None:
    head = SearchHead()
    for shown, meant in lists(400, WORDS, seed=1):
        head.learn(shown, [meant], "known", "known", by_place=False)
    assert head.opened("known", "known") < 0.2


def test_a_visitor_without_a_past_gets_the_plain_order() -> None:
    head = SearchHead()
    for shown, meant in lists(200, PERSONAL):
        head.learn(shown, [meant], "short", "cold", by_place=False)
    assert not np.any(np.array(list(head.weights("short", "cold").values()))[PLAIN:])


def test_places_are_told_from_worth() -> None:
    """Clicks fall with the place; what counts is found nevertheless, and how they fall."""
    random = np.random.default_rng(3)
    looked_at = 1.0 / np.arange(1, 9)
    head, naive = SearchHead(), SearchHead()
    for shown, meant in lists(6_000, MEANING, seed=3):
        order = np.argsort(-shown[:, WORDS])  # the shop's old order, by words alone
        place = int(np.flatnonzero(order == meant)[0])
        if random.random() < looked_at[place]:
            head.learn(shown[order], [place], "long", "cold")
            naive.learn(shown[order], [place], "long", "cold", by_place=False)
    chances = head.chances(8)
    assert chances[7] < 0.5 * chances[0]
    fair, fooled = head.weights("long", "cold"), naive.weights("long", "cold")
    assert fair["words"] / fair["meaning"] < 0.7 * fooled["words"] / fooled["meaning"]


@pytest.mark.parametrize("visitor", ["cold", "new", "known"])
def test_numbers_stay_numbers(visitor: Visitor) -> None:
    head = SearchHead()
    random = np.random.default_rng(0)
    for _ in range(200):
        shown = random.normal(size=(3, len(FEATURES))) * 100
        lost = head.learn(shown, [0, 2], "short", visitor)
        assert np.isfinite(lost)
    assert np.isfinite(head.score(shown, "short", visitor)).all()
    assert fits(head.state)
