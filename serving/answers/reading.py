"""Texts read beside a question: which sentence of which passage answers it, and how surely."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from learner.answers.frequencies import Frequencies
from learner.answers.judge import Judge
from learner.answers.likeness import MOST_TOKENS, EncodesTokens, Likeness, Tokens, likeness
from learner.answers.sentences import Span
from serving.answers.documents import Passage
from serving.answers.routes import in_chinese

KEPT = 256
"""Passages whose tokens are remembered: some 150 kB each, so 40 MB."""


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
    encoder
        Gives the encoder, or `None` while there is none: then texts are read by words alone. So are
        those in Chinese, of which the default encoder knows single characters only.
    judge
        What decides.
    """

    def __init__(
        self,
        encoder: Callable[[], EncodesTokens | None] = lambda: None,
        judge: Judge | None = None,
    ) -> None:
        self._encoder = encoder
        self._judge = judge or Judge()
        self._tokens: OrderedDict[str, Tokens] = OrderedDict()

    def read(
        self, question: str, passages: Sequence[Passage], frequencies: Frequencies
    ) -> Found | None:
        """The sentence that answers most probably; `None` where there is nothing to read."""
        if not passages:
            return None
        found = []
        for passage, like in zip(passages, self._likeness(question, passages), strict=True):
            judged = self._judge.judge(question, passage.sentences, like, frequencies.rarity)
            found.append(Found(passage, passage.spans[judged.best], judged.answers))
        return max(found, key=lambda one: one.answers)

    def forget(self) -> None:
        """Drop what is remembered of texts."""
        self._tokens.clear()

    def _likeness(self, question: str, passages: Sequence[Passage]) -> list[Likeness | None]:
        encoder = None if in_chinese(question) else self._encoder()
        if encoder is None:
            return [None for _ in passages]
        texts = [passage.text[passage.start : passage.end] for passage in passages]
        new = [text for text in dict.fromkeys((question, *texts)) if text not in self._tokens]
        self._tokens.update(zip(new, encoder.tokens(new, MOST_TOKENS), strict=True))
        for text in (*texts, question):
            self._tokens.move_to_end(text)
        while len(self._tokens) > KEPT:
            self._tokens.popitem(last=False)
        asked = self._tokens[question]
        if not len(asked.vector_TE):
            return [None for _ in passages]
        return [
            likeness(asked, self._tokens[text], passage.spans, passage.start)
            for passage, text in zip(passages, texts, strict=True)
        ]
