"""Texts read beside a question: which sentence of which passage answers it, and how surely."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.answers.frequencies import Frequencies
from learner.answers.judge import Judge
from learner.answers.sentences import Span
from serving.answers.documents import Passage

Encode = Callable[[Sequence[str]], NDArray[np.float16]]
"""Texts to vectors of length 1."""

KEPT = 20_000
"""Sentences whose vectors are remembered: 15 MB at 384 numbers each."""

_NOT_ENCODED = 0.1
"""Without an encoder all sentences are equally alike."""


class Found(NamedTuple):
    """A sentence that may answer, and the probability that it does."""

    passage: Passage
    span: Span
    answers: float

    @property
    def quote(self) -> str:
        """What it says."""
        return self.span.of(self.passage.text)


class Reader:
    """Reads passages.

    Parameters
    ----------
    encode
        The encoder; `None` reads by words alone.
    judge
        What decides.
    """

    def __init__(self, encode: Encode | None = None, judge: Judge | None = None) -> None:
        self.encode = encode
        self._judge = judge or Judge()
        self._vectors: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def read(
        self, question: str, passages: Sequence[Passage], frequencies: Frequencies
    ) -> Found | None:
        """The sentence that answers most probably; `None` where there is nothing to read."""
        if not passages:
            return None
        cosines = self._cosines(question, passages)
        found = []
        for passage, cosine_S in zip(passages, cosines, strict=True):
            judged = self._judge.judge(question, passage.sentences, cosine_S, frequencies.rarity)
            found.append(Found(passage, passage.spans[judged.best], judged.answers))
        return max(found, key=lambda one: one.answers)

    def _cosines(self, question: str, passages: Sequence[Passage]) -> list[NDArray[np.float32]]:
        texts = [sentence for passage in passages for sentence in passage.sentences]
        if self.encode is None:
            return [np.full(len(one.spans), _NOT_ENCODED, np.float32) for one in passages]
        new = [text for text in dict.fromkeys((question, *texts)) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self.encode(new), strict=True))
        for text in texts:
            self._vectors.move_to_end(text)
        asked_E = self._vectors[question].astype(np.float32)
        like = np.array([self._vectors[text].astype(np.float32) @ asked_E for text in texts])
        while len(self._vectors) > KEPT:
            self._vectors.popitem(last=False)
        ends = np.cumsum([len(passage.spans) for passage in passages])
        return [part.astype(np.float32) for part in np.split(like, ends[:-1])]
