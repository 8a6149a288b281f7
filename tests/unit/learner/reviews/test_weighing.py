"""Readers count by what they read before they learnt."""

import numpy as np
from numpy.typing import NDArray

from learner.reviews.deciding import best_factors, macro_f1
from learner.reviews.linear import softmax
from learner.reviews.weighing import ANCHOR, Weighing, class_weights


def said_of(
    truth: NDArray[np.int64], good: float, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Logits and a rating that know the truth to a degree."""
    logits = good * np.eye(3)[truth] + chance.normal(size=(len(truth), 3))
    rating = good * (truth - 1.0) + chance.normal(size=len(truth))
    return np.concatenate([logits, rating[:, None]], axis=1)


def stars_of(truth: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([1.0, 3.0, 5.0])[truth]


def rating_error(weighing: Weighing, column: int, chance: np.random.Generator) -> float:
    """How far ratings are off once a reader's is replaced by chance."""
    stars = chance.integers(1, 6, size=500).astype(float)
    said = np.stack([stars - ANCHOR, stars - ANCHOR], axis=1)
    said[:, column] = chance.normal(size=500)
    return float(np.abs(weighing.read(said)[1] - stars).mean())


def test_a_reader_that_knows_nothing_has_no_weight() -> None:
    chance = np.random.default_rng(0)
    truth = chance.choice(3, 600, p=[0.2, 0.2, 0.6])
    weighing = Weighing((3, 1, 3, 1), kept=600, balance=0.5)
    said = np.concatenate([said_of(truth, 2.0, chance), said_of(truth, 0.0, chance)], axis=1)
    for start in range(0, 600, 60):
        part = slice(start, start + 60)
        weighing.learn(said[part], truth[part], stars_of(truth[part]))
    weight = np.abs(weighing.sentiment_F3)
    assert weight[:4].max() > 5 * weight[4:8].max()


def test_a_reader_that_turns_bad_loses_its_weight_as_the_ring_turns() -> None:
    chance = np.random.default_rng(1)
    weighing = Weighing((1, 1), kept=320, balance=0.0)
    for turned_bad in (False, True):
        for _ in range(20):
            stars = chance.integers(1, 6, size=32).astype(float)
            other = stars - ANCHOR + chance.normal(size=32)
            first = chance.normal(size=32) if turned_bad else stars - ANCHOR
            weighing.learn(np.stack([first, other], axis=1), np.full(32, 2), stars)
        without_first = rating_error(weighing, 0, chance)
        without_other = rating_error(weighing, 1, chance)
        assert (without_first > without_other) is not turned_bad


def test_a_step_never_leads_away_even_from_far_outputs() -> None:
    chance = np.random.default_rng(2)
    truth = chance.choice(3, 200, p=[0.05, 0.05, 0.9])
    said = 40 * said_of(truth, 1.0, chance)
    weighing = Weighing((3, 1), kept=200, balance=1.0)
    losses = []
    for _ in range(12):
        weighing.learn(said, truth, stars_of(truth))
        share = softmax(weighing.read(said)[0])[np.arange(200), truth]
        losses.append(-(class_weights(truth, 1.0)[truth] * np.log(share + 1e-300)).sum())
    assert losses[-1] < losses[0]
    assert np.isfinite(weighing.sentiment_F3).all()


def test_factors_find_rare_sentiments() -> None:
    chance = np.random.default_rng(3)
    truth = chance.choice(3, 3000, p=[0.05, 0.07, 0.88])
    logits = 1.5 * np.eye(3)[truth] + np.log([0.05, 0.07, 0.88]) + chance.normal(size=(3000, 3))
    factors = best_factors(logits[:2000], truth[:2000])
    plain = macro_f1(logits[2000:].argmax(axis=1), truth[2000:])
    assert macro_f1((logits[2000:] + factors).argmax(axis=1), truth[2000:]) > 1.1 * plain


def test_factors_move_little_when_a_few_reviews_are_others() -> None:
    chance, rare = np.random.default_rng(0), [0.05, 0.05, 0.9]
    truth = chance.choice(3, 1100, p=rare)
    logits = 1.5 * np.eye(3)[truth] + np.log(rare) + chance.normal(size=(1100, 3))
    found = [best_factors(logits[n : n + 1000], truth[n : n + 1000]) for n in range(0, 100, 10)]
    assert np.abs(np.diff(found, axis=0)).max() < 0.2  # a step of the grid is .25


def test_factors_stay_at_one_while_little_is_known() -> None:
    assert best_factors(np.zeros((10, 3)), np.zeros(10, np.int64)).tolist() == [0.0, 0.0, 0.0]


def test_a_checkpoint_goes_on_alike() -> None:
    chance = np.random.default_rng(4)
    truth = chance.choice(3, 90)
    said = said_of(truth, 1.0, chance)
    one, other = (Weighing((3, 1), kept=50, balance=0.5) for _ in range(2))
    one.learn(said[:60], truth[:60], stars_of(truth[:60]))
    other.load(one.state())
    for weighing in (one, other):
        weighing.learn(said[60:], truth[60:], stars_of(truth[60:]))
    assert np.array_equal(one.sentiment_F3, other.sentiment_F3)
    assert np.array_equal(one.stars_G5, other.stars_G5)
