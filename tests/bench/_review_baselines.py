"""What the review reader is compared with, each learnt on the same stream and read before it.

TF-IDF with logistic regression (sentiment) and with ridge regression (rating), from scikit-learn,
fitted anew on all that came before, at growing intervals; of several settings the best on the whole
stream counts, which favours it. Users' and items' biases for the rating.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from learner.reviews.biases import Biases
from learner.reviews.deciding import macro_f1

EVERY, SELDOM, MANY = 500, 1_000, 20_000
"""Reviews between two fits, once there are a thousand, and once there are many."""


def tfidf_f1(texts: Sequence[str], truth_N: NDArray[np.int64]) -> dict[str, float]:
    """Macro-F1 of TF-IDF with logistic regression, by setting; truth -1 where there is none."""
    known_N = truth_N >= 0
    label: dict[str, NDArray[np.int64]] = {}
    for start, end in _parts(len(texts)):
        for words in (1, 2):
            before, now = _vectors(texts, known_N, start, end, words)
            wanted = truth_N[:start][known_N[:start]]
            if len(np.unique(wanted)) < 2:  # noqa: PLR2004
                continue
            for balanced in (False, True):
                for strength in (1.0, 10.0):
                    name = f"words {words}, C {strength:g}{', balanced' * balanced}"
                    weight = "balanced" if balanced else None
                    model = LogisticRegression(C=strength, class_weight=weight, max_iter=200)
                    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                        model.fit(before, wanted)
                    label.setdefault(name, np.full(len(texts), 2))[start:end] = model.predict(now)
    return {name: macro_f1(of[known_N], truth_N[known_N]) for name, of in label.items()}


def tfidf_mse(texts: Sequence[str], rating_N: NDArray[np.float64]) -> dict[str, float]:
    """Mean squared error of TF-IDF with ridge regression, by setting; NaN where no rating is."""
    known_N = ~np.isnan(rating_N)
    said: dict[str, NDArray[np.float64]] = {}
    for start, end in _parts(len(texts)):
        for words in (1, 2):
            before, now = _vectors(texts, known_N, start, end, words)
            wanted = rating_N[:start][known_N[:start]]
            for strength in (0.3, 1.0, 3.0):
                model = Ridge(alpha=strength, solver="sparse_cg").fit(before, wanted)
                name = f"words {words}, alpha {strength:g}"
                first = said.setdefault(name, np.full(len(texts), 4.0))
                first[start:end] = np.clip(model.predict(now), 1, 5)
    return {name: float(((of - rating_N)[known_N] ** 2).mean()) for name, of in said.items()}


def bias_mse(
    users: Sequence[str], items: Sequence[str], rating_N: NDArray[np.float64], batch: int
) -> dict[str, float]:
    """Mean squared error of users' and items' shrunk means, by how much they are shrunk."""
    found = {}
    for shrink in (1.0, 3.0, 10.0):
        biases, off = Biases(shrink, len(users)), list[float]()
        for start in range(0, len(users), batch):
            at = [n for n in range(start, min(start + batch, len(users))) if rating_N[n] > 0]
            who, what = [users[n] for n in at], [items[n] for n in at]
            said = np.clip(biases.mean + biases.read(who, what), 1, 5)
            off.extend((said - rating_N[at]) ** 2)
            biases.learn(who, what, rating_N[at])
        found[f"shrunk by {shrink:g}"] = float(np.mean(off))
    return found


def _parts(count: int) -> list[tuple[int, int]]:
    firsts = (100, 200, 300, 500, 750, *range(1_000, MANY, EVERY), *range(MANY, count, SELDOM))
    starts = [n for n in firsts if n < count]
    return list(zip(starts, [*starts[1:], count], strict=True))


def _vectors(
    texts: Sequence[str], known_N: NDArray[np.bool_], start: int, end: int, words: int
) -> tuple[object, object]:
    rare = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, words), min_df=2)
    before = rare.fit_transform([texts[int(n)] for n in np.flatnonzero(known_N[:start])])
    return before, rare.transform(texts[start:end])
