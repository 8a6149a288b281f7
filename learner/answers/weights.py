"""The fitted weights of `learner.answers.judge`, by the names of the features."""

from __future__ import annotations

SENTENCE_WEIGHTS: dict[str, float] = {
    "words": 1.707,
    "saturated": -2.398,
    "pairs": 2.910,
    "alike": 3.074,
    "cosine": 3.648,
    "cosine-above": 3.259,
    "cosine-before": 1.938,
    "cosine-after": 0.417,
    "words-before": 0.310,
    "words-after": 0.279,
    "length": 0.517,
    "new": 0.187,
    "first": 0.469,
    "last": -0.044,
    "question": -0.506,
    "rest": 0.000,
    "shows-number": 2.472,
    "shows-time": 1.602,
    "shows-reason": 1.582,
    "shows-person": 0.647,
    "shows-place": 2.254,
    "shows-colour": 4.221,
    "shows-material": 3.722,
    "shows-manner": 0.316,
    "shows-yes-no": 0.000,
}

TEXT_WEIGHTS: dict[str, float] = {
    "best": 0.348,
    "best-words": 0.807,
    "best-cosine": 5.283,
    "second-cosine": 0.694,
    "words-in-text": 0.264,
    "rarest-missing": 0.809,
    "missing": -0.595,
    "cosine-of-best": 2.219,
    "shown": -0.604,
    "known": 3.730,
    "length": -1.069,
    "words-of-question": -1.448,
    "product": -0.269,
}

TEXT_BIAS = -0.271
