"""An answer in a model's words, where they say nothing that the cited places don't say.

The model is told what is cited, and nothing else. A checker reads each draft beside it
(`learner.texts.checker`): numbers, units, names and denials have to stand there as they are said.
The first draft that passes is said; where none does, the quotation speaks, as it would without a
model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from learner.texts.checker import passes
from learner.texts.facts import Facts, plain
from learner.texts.lexicon import Language
from stream.asked import Answer
from stream.metrics import PHRASED_ANSWERS

PHRASED = frozenset({"attribute", "review", "policy"})
"""The routes whose answers are phrased; counts and tables are told as they are."""

_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")


class Writes(Protocol):
    """A model that words facts, as `learner.texts.generator.Generator` is one."""

    def write(self, facts: Sequence[Facts], drafts: int) -> list[list[str]]:
        """So many drafts for each, the likeliest first; nothing is promised of them."""


class Phrasing:
    """Words answers.

    Parameters
    ----------
    writer
        The model.
    language
        Whose closed lists the checker uses.
    drafts
        So many of the model's drafts are tried.

    Examples
    --------
    >>> from stream.asked import Citation
    >>> class Liar:
    ...     def write(self, facts, drafts):
    ...         return [["It weighs 2 kg.", "With a wooden handle."] for _ in facts]
    >>> quote = "With a wooden handle, 3 kg."
    >>> cited = Citation(source="review", id="r", field="text", start=0, end=27, quote=quote)
    >>> answer = Answer(text="A shopper writes: …", route="review", citations=(cited,))
    >>> Phrasing(Liar()).phrased(answer).text
    'With a wooden handle.'
    """

    def __init__(self, writer: Writes, language: Language = "en", drafts: int = 4) -> None:
        self._writer = writer
        self._language = language
        self._drafts = drafts

    def phrased(self, answer: Answer) -> Answer:
        """The answer in the model's words, if they may be said; or as it is."""
        if answer.route not in PHRASED or not answer.citations:
            return answer
        facts = Facts(sentences=tuple(_told(answer)))
        for draft in self._writer.write([facts], self._drafts)[0]:
            sentence = _ENDS.split(draft.strip(), maxsplit=1)[0]
            if passes(sentence, facts, self._language):
                PHRASED_ANSWERS.labels(by="model").inc()
                return msgspec.structs.replace(answer, text=sentence)
        PHRASED_ANSWERS.labels(by="quotation").inc()
        return answer


def _told(answer: Answer) -> list[str]:
    """What is cited, each with the name of its field where it is an item's."""
    return [
        plain(
            f"{one.field.removeprefix('attributes.')} {one.quote}"
            if one.source == "item" and one.field != "description"
            else one.quote
        )
        for one in answer.citations
    ]
