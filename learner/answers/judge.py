"""Which sentence of a text answers a question, and how likely the text answers it at all.

Two small linear models: a conditional logit picks the sentence, a logistic regression on what was
picked says whether that is an answer. Their weights were fitted to questions that people asked of
reviews (`learner.answers.fitting`); they are few enough to be written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.answers.features import (
    SENTENCE_FEATURES,
    TEXT_FEATURES,
    Floats,
    sentence_features,
    text_features,
)
from learner.answers.weights import SENTENCE_WEIGHTS, TEXT_BIAS, TEXT_WEIGHTS


class Weights(NamedTuple):
    """What is learnt: of each sentence's features, of each text's features, and a constant."""

    sentence_F: Floats
    text_G: Floats
    bias: float

    @classmethod
    def fitted(cls) -> Weights:
        """Those that come with Tidemill."""
        return cls(
            np.array([SENTENCE_WEIGHTS[name] for name in SENTENCE_FEATURES]),
            np.array([TEXT_WEIGHTS[name] for name in TEXT_FEATURES]),
            TEXT_BIAS,
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
    >>> cosine_S = np.array([0.1, 0.6, 0.2], np.float32)
    >>> judged = Judge().judge("How much does the fan weigh?", text, cosine_S, lambda _: 3.0)
    >>> judged.best, judged.answers > 0.5
    (1, True)
    """

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or Weights.fitted()

    def judge(
        self,
        question: str,
        sentences: Sequence[str],
        cosine_S: NDArray[np.float32],
        rarity: Callable[[str], float],
    ) -> Judged:
        """Judge one text of at least one sentence."""
        features_SF = sentence_features(question, sentences, cosine_S, rarity)
        score_S = features_SF @ self.weights.sentence_F
        text_G = text_features(question, sentences, features_SF, score_S, rarity)
        logit = float(text_G @ self.weights.text_G) + self.weights.bias
        return Judged(int(score_S.argmax()), score_S, float(1.0 / (1.0 + np.exp(-logit))))
