"""Which sentence of a text answers a question, and how likely the text answers it at all.

Two small linear models: a conditional logit picks the sentence, a logistic regression on what was
picked says whether that is an answer. Their weights were fitted to questions that people asked of
reviews (`learner.answers.fitting`); they are few enough to be written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from learner.answers.features import (
    SENTENCE_FEATURES,
    TEXT_FEATURES,
    Floats,
    sentence_features,
    text_features,
)
from learner.answers.likeness import Likeness
from learner.answers.weights import BY_MEANING, BY_WORDS


class Weights(NamedTuple):
    """What is learnt: of each sentence's features, of each text's features, and a constant."""

    sentence_F: Floats
    text_G: Floats
    bias: float

    @classmethod
    def fitted(cls, *, by_words: bool = False) -> Weights:
        """Those that come with Tidemill; a feature without a weight counts nothing."""
        of_sentence, of_text, bias = BY_WORDS if by_words else BY_MEANING
        return cls(
            np.array([of_sentence.get(name, 0.0) for name in SENTENCE_FEATURES]),
            np.array([of_text.get(name, 0.0) for name in TEXT_FEATURES]),
            bias,
        )


class Judged(NamedTuple):
    """A text beside a question.

    Attributes
    ----------
    best
        The place of the sentence that answers best.
    score_S
        Of each sentence; differences between them are logits.
    answers
        The probability that the text answers the question.
    """

    best: int
    score_S: Floats
    answers: float


class Judge:
    """Judges texts beside questions.

    Examples
    --------
    >>> text = ["I bought it in May.", "The fan weighs 2 kg.", "Very quiet!"]
    >>> judged = Judge().judge("How much does the fan weigh?", text, None, lambda _: 3.0)
    >>> judged.best, judged.answers > 0.5
    (1, True)
    """

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or Weights.fitted()
        self.by_words = Weights.fitted(by_words=True)

    def judge(
        self,
        question: str,
        sentences: Sequence[str],
        like: Likeness | None,
        rarity: Callable[[str], float],
    ) -> Judged:
        """Judge one text of at least one sentence; without a likeness, by its words alone."""
        weights = self.weights if like is not None else self.by_words
        like = like or Likeness.nothing(len(sentences))
        features_SF = sentence_features(question, sentences, like, rarity)
        score_S = features_SF @ weights.sentence_F
        text_G = text_features(question, sentences, features_SF, score_S, like=like, rarity=rarity)
        logit = float(text_G @ weights.text_G) + weights.bias
        return Judged(int(score_S.argmax()), score_S, float(1.0 / (1.0 + np.exp(-logit))))
