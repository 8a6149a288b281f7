"""What the judge picks, and that fitting finds what there is to find."""

from __future__ import annotations

import numpy as np
import pytest

from learner.answers.fitting import Beside, fit
from learner.answers.frequencies import Frequencies
from learner.answers.judge import Judge

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
    judged = Judge().judge(question, _TEXT, np.full(4, 0.3, np.float32), known().rarity)
    assert judged.best == place


def test_a_text_about_something_else_answers_less_surely() -> None:
    rarity = known().rarity
    near, far = np.array([0.1, 0.7, 0.1, 0.1], np.float32), np.full(4, 0.05, np.float32)
    own = Judge().judge("How long is the cord?", _TEXT, near, rarity)
    other = Judge().judge("Which engine does the tractor have?", _TEXT, far, rarity)
    assert own.answers > 0.8
    assert other.answers < 0.2


def test_fitting_learns_what_tells_an_answer() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for n in range(60):
        place = int(rng.integers(4))
        cosine_S = np.full(4, 0.1, np.float32)
        if n % 2:
            cosine_S[place] = 0.8
        pairs.append(Beside(f"What about word{n}?", _TEXT, cosine_S, {place} if n % 2 else ()))
    judge = Judge(fit(pairs, known().rarity, steps=30))
    for pair in pairs:
        judged = judge.judge(pair.question, pair.sentences, pair.cosine_S, known().rarity)
        assert (judged.answers > 0.5) == bool(pair.right)
        assert not pair.right or judged.best in pair.right
