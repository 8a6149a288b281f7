"""What a question and the sentences of a text have in common, as numbers.

Legend: `S` sentences of one text, `F` features of a sentence, `G` features of a text.

Words count by how rare they are (BM25's weights), meaning by the encoder's cosine; a question that
begins with "how many" looks for a number. What a sentence says beyond the question matters as well:
one that only says the question again answers nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from learner.answers.likeness import Likeness
from learner.answers.wording import AnswerKind, all_terms, kind_of, shows, terms

Floats = NDArray[np.float64]

_KINDS: tuple[AnswerKind, ...] = (
    "number", "time", "reason", "person", "place", "colour", "material", "manner", "yes-no",
)  # fmt: skip

SENTENCE_FEATURES: tuple[str, ...] = (
    "words", "saturated", "pairs", "alike", "cosine", "cosine-above", "cosine-before",
    "cosine-after", "words-before", "words-after", "length", "new", "first", "last", "question",
    "match", "match-above", "least", "back", *(f"shows-{kind}" for kind in _KINDS),
)  # fmt: skip
"""Of a sentence, beside the question."""

TEXT_FEATURES: tuple[str, ...] = (
    "best", "best-words", "best-cosine", "second-cosine", "words-in-text", "rarest-missing",
    "missing", "cosine-of-best", "shown", "known", "length", "words-of-question", "product",
    "match", "back", "whole", "found", "found-least", "found-quarter", "found-three",
)  # fmt: skip
"""Of a whole text, beside the question."""

_SATURATION, _BY_LENGTH, _USUAL_LENGTH = 1.2, 0.6, 10.0
_GRAM = 3


def sentence_features(
    question: str,
    sentences: Sequence[str],
    like: Likeness,
    rarity: Callable[[str], float],
) -> Floats:
    """Features of each sentence of one text, in order, (S, F).

    Parameters
    ----------
    like
        Their likeness in meaning.
    rarity
        How rare a word is, in nats.
    """
    S = len(sentences)
    asked = list(dict.fromkeys(terms(question)))
    weight = {word: rarity(word) for word in asked}
    total = sum(weight.values()) or 1.0
    asked_all = all_terms(question)
    asked_pairs = set(zip(asked_all, asked_all[1:], strict=False))
    grams = {word: _grams(word) for word in asked}
    kind = kind_of(question)
    out_SF = np.zeros((S, len(SENTENCE_FEATURES)))
    for s, sentence in enumerate(sentences):
        every = all_terms(sentence)
        words = Counter(terms(sentence))
        length = sum(words.values())
        damp = _SATURATION * (1 - _BY_LENGTH + _BY_LENGTH * length / _USUAL_LENGTH)
        covered = sum(weight[word] for word in asked if word in words) / total
        saturated = sum(
            weight[word] * words[word] * (1 + _SATURATION) / (words[word] + damp)
            for word in asked
            if word in words
        )
        pairs = len(asked_pairs.intersection(zip(every, every[1:], strict=False)))
        alike = _alike(asked, words, weight, grams) / total
        new = sum(word not in weight for word in words)
        out_SF[s, :4] = covered, saturated / total, pairs / max(len(asked_pairs), 1), alike
        out_SF[s, 10:15] = (
            math.log1p(len(sentence)) / 4,
            math.log1p(new),
            s == 0,
            s == S - 1,
            sentence.rstrip().endswith(("?", "？")),
        )
        if kind in _KINDS and shows(kind, sentence):
            out_SF[s, 19 + _KINDS.index(kind)] = 1.0
    cosine = like.cosine_S
    out_SF[:, 4] = cosine
    out_SF[:, 5] = cosine - cosine.max(initial=-1.0)
    out_SF[:, 15] = like.match_S
    out_SF[:, 16] = like.match_S - like.match_S.max(initial=0.0)
    out_SF[:, 17], out_SF[:, 18] = like.least_S, like.back_S
    out_SF[1:, 6], out_SF[:-1, 7] = cosine[:-1], cosine[1:]
    out_SF[1:, 8], out_SF[:-1, 9] = out_SF[:-1, 0], out_SF[1:, 0]
    return out_SF


def text_features(
    question: str,
    sentences: Sequence[str],
    features_SF: Floats,
    score_S: Floats,
    *,
    like: Likeness,
    rarity: Callable[[str], float],
) -> Floats:
    """Features of a text as a whole, (G,): whether it answers at all.

    Parameters
    ----------
    features_SF, score_S, like
        Of its sentences, and their scores.
    """
    best = int(score_S.argmax())
    cosine_S, covered_S = features_SF[:, 4], features_SF[:, 0]
    asked = set(terms(question))
    there = set(terms(" ".join(sentences)))
    weight = {word: rarity(word) for word in asked}
    total = sum(weight.values()) or 1.0
    missing = [weight[word] for word in asked - there]
    kind = kind_of(question)
    ordered = np.sort(cosine_S)[::-1]
    in_text = 1.0 - sum(missing) / total
    return np.array(
        [
            float(score_S[best]),
            float(covered_S.max()),
            float(ordered[0]),
            float(ordered[1]) if len(ordered) > 1 else 0.0,
            in_text,
            max(missing, default=0.0) / 5,
            sum(missing) / 10,
            float(cosine_S[best]),
            float(any(shows(kind, sentence) for sentence in sentences)),
            float(sum(weight[word] for word in asked & there)) / 10,
            math.log1p(len(sentences)),
            math.log1p(len(asked)),
            in_text * float(ordered[0]),
            float(like.match_S.max()),
            float(like.back_S.max()),
            like.whole,
            *like.found_4,
        ]
    )


def _grams(word: str) -> set[str]:
    return {word[at : at + _GRAM] for at in range(max(len(word) - _GRAM + 1, 1))}


def _alike(
    asked: Sequence[str],
    words: Counter[str],
    weight: dict[str, float],
    grams: dict[str, set[str]],
) -> float:
    """How much of the question's words stands in a sentence in another form, or misspelt."""
    found = 0.0
    for word in asked:
        if word in words:
            found += weight[word]
            continue
        of = grams[word]
        best = 0.0
        for other in words:
            if other[:1] == word[:1] and len(other) > _GRAM:
                theirs = _grams(other)
                best = max(best, len(of & theirs) / len(of | theirs))
        found += weight[word] * best
    return found
