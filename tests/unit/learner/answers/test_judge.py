"""What the judge picks, and that fitting finds what there is to find."""

from __future__ import annotations

import numpy as np
import pytest

from learner.answers.fitting import Beside, fit
from learner.answers.frequencies import Frequencies
from learner.answers.judge import Judge
from learner.answers.likeness import Likeness

_TEXT = (
    "I got it in May.",
    "The cord is six feet long.",
    "Very quiet!",
    "My wife loves the colour.",
)


def known() -> Frequencies:
    found = Frequencies()
    for sentence in _TEXT * 10:
        found.add(sentence)
    return found


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("How long is the cord?", 1),
        ("Who loves the colour?", 3),
        ("Is it quiet?", 2),
    ],
)
def test_words_alone_find_the_sentence(question: str, place: int) -> None:
    judged = Judge().judge(question, _TEXT, None, known().rarity)
    assert judged.best == place


def alike(*cosines: float) -> Likeness:
    """What an encoder that finds sentences so alike would say."""
    like_S = np.array(cosines)
    return Likeness(like_S, like_S, like_S, like_S, like_S.max(), np.full(4, like_S.max()))


def test_a_text_about_something_else_answers_less_surely() -> None:
    rarity, judge = known().rarity, Judge()
    for near, far in ((alike(0.1, 0.7, 0.1, 0.1), alike(0.1, 0.1, 0.1, 0.1)), (None, None)):
        own = judge.judge("How long is the cord?", _TEXT, near, rarity)
        other = judge.judge("Which engine does the tractor have?", _TEXT, far, rarity)
        assert own.best == 1
        assert own.answers > 0.6
        assert other.answers < 0.4


def test_fitting_learns_what_tells_an_answer() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for n in range(60):
        place = int(rng.integers(4))
        cosines = [0.1] * 4
        if n % 2:
            cosines[place] = 0.8
        right = {place} if n % 2 else frozenset[int]()
        pairs.append(Beside(f"What about word{n}?", _TEXT, alike(*cosines), right))
    judge = Judge(fit(pairs, known().rarity, steps=30))
    for pair in pairs:
        judged = judge.judge(pair.question, pair.sentences, pair.like, known().rarity)
        assert (judged.answers > 0.5) == bool(pair.right)
        assert not pair.right or judged.best in pair.right
