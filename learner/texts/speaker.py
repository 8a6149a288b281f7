"""A sentence for each recommendation: a model's, if it may be said, or else a template's."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol

from learner.texts.checker import passes
from learner.texts.config import TextsConfig
from learner.texts.facts import Facts
from learner.texts.lexicon import Language
from learner.texts.templates import draft, template

KEPT = 20_000
"""Sentences of a model that are kept: an item is described once for each reason, not each time."""

_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")


class Writes(Protocol):
    """A model that words facts, as `learner.texts.generator.Generator` is one."""

    def write(self, facts: Sequence[Facts], drafts: int) -> list[list[str]]:
        """So many drafts for each item, the likeliest first; nothing is promised of them."""


class Speaker:
    """Speaks for items. Without a model it takes microseconds, and quotes.

    Parameters
    ----------
    writer
        The model; `None` for templates alone.
    language
        Whose closed lists apply.
    drafts
        So many of the model's drafts are tried for each item.

    Attributes
    ----------
    spoken
        How often the model spoke, and how often a template had to.

    Examples
    --------
    >>> class Boaster:
    ...     def write(self, facts, drafts):
    ...         return [["The best pot in the world.", "A pot by Betty."] for _ in facts]
    >>> speaker = Speaker(Boaster())
    >>> speaker.sentences([Facts(title="Pot", brand="Betty"), Facts(title="Pot", brand="Bodum")])
    ['A Pot by Betty.', 'Pot by Bodum.']
    """

    def __init__(
        self, writer: Writes | None = None, language: Language = "en", drafts: int = 4
    ) -> None:
        self._writer = writer
        self._language = language
        self._drafts = drafts
        self._kept: OrderedDict[Facts, str] = OrderedDict()
        self.spoken: Counter[str] = Counter()

    def sentences(self, facts: Sequence[Facts]) -> list[str]:
        """One sentence for each item with its reason; empty for one of which nothing is known."""
        if self._writer is None:
            return [template(one, self._language) for one in facts]
        unknown = list(dict.fromkeys(one for one in facts if one not in self._kept))
        if unknown:
            for one, drafts in zip(unknown, self._writer.write(unknown, self._drafts), strict=True):
                self._kept[one] = self._first(one, drafts)
        said = []
        for one in facts:
            self._kept.move_to_end(one)
            said.append(self._kept[one] or template(one, self._language))
            self.spoken["model" if self._kept[one] else "template"] += 1
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return said

    def describe(self, facts: Facts, sentences: int = 3) -> str:
        """Draft a description: what of the model's drafts may be said, or the fields, quoted."""
        if self._writer is None:
            return draft(facts, self._language, sentences)
        said: list[str] = []
        for text in self._writer.write([facts], self._drafts)[0]:
            for part in _ENDS.split(text):
                sentence = cased(part, facts)
                if sentence not in said and self._passes(sentence, facts):
                    said.append(sentence)
        self.spoken["model" if said else "template"] += 1
        if not said:
            return draft(facts, self._language, sentences)
        return " ".join((template(facts, self._language), *said[: sentences - 1]))

    def _first(self, facts: Facts, drafts: Sequence[str]) -> str:
        for text in drafts:
            sentence = cased(_ENDS.split(text.strip(), maxsplit=1)[0], facts)
            if self._passes(sentence, facts):
                return sentence
        return ""

    def _passes(self, sentence: str, facts: Facts) -> bool:
        return passes(sentence, facts, self._language)


def make_speaker(config: TextsConfig, seed: int = 0) -> Speaker:
    """A speaker by the settings: of templates alone, unless they name a model.

    Raises
    ------
    SettingsError
        If the model can't be loaded.
    """
    writer = None
    if config.model:
        from learner.texts.generator import Generator  # noqa: PLC0415 - imports take seconds

        writer = Generator(config, seed)
    return Speaker(writer, config.language, config.drafts)


def cased(sentence: str, facts: Facts) -> str:
    """Write the names of facts as the facts do: small models write all in lower case.

    >>> cased("a pot by brown betty.", Facts(title="Pot", brand="Brown Betty"))
    'A Pot by Brown Betty.'
    """
    sentence = sentence.strip()
    for name in (facts.brand, facts.title):
        if name:
            whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
            sentence = whole.sub(lambda _, name=name: name, sentence)  # type: ignore[misc]
    return sentence[:1].upper() + sentence[1:]
