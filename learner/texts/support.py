"""What facts support: each word with the roles and neighbours that it has in the fields.

Words alone would let a true word lie: `steel pot, wooden handle` speaks of no wooden pot. So a
sentence's neighbours have to be neighbours in the fields, and what binds (a colour, a material, a
number, a superlative, a comparison) may stand alone only where the title says it of the item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from learner.texts.claims import Chunk, Claim, chunks
from learner.texts.facts import Facts
from learner.texts.lexicon import Lexicon
from learner.texts.words import unspaced

_BRAND_ROLES = ("", "by", "from", "of")
_CATEGORY_ROLES = ("in", "from")
_PRICE_ROLES = ("", "for", "at")
_MADE_OF = frozenset({"of", "in"})
_NEAR = 2
_SHORTEST_PART = 2
"""Of a text without spaces, a part of fewer letters than this says too little."""


class Support:
    """An index of some facts.

    Examples
    --------
    >>> from learner.texts.lexicon import ENGLISH
    >>> support = Support(Facts(title="Steel Pot", sentences=("A handle of red wood.",)), ENGLISH)
    >>> [support.binds(chunk) for chunk in chunks("red wooden pot", ENGLISH)]
    [False]
    >>> [support.binds(chunk) for chunk in chunks("steel pot", ENGLISH)]
    [True]
    """

    def __init__(self, facts: Facts, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._roles: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
        self._gaps: dict[tuple[str, str], int] = {}
        self._next: defaultdict[str, set[str]] = defaultdict(set)
        self._ends: set[tuple[str, str, str]] = set()
        self._of_item: set[str] = set()
        self._price: set[str] = set()
        self._names: set[str] = set()
        self._unspaced: list[str] = []
        for chunk in chunks(facts.title, lexicon):
            self._add(chunk, (chunk.role,))
            if not chunk.role and chunk.denied == "no":
                self._of_item.update(self._first_bound(chunk.claims))
        for sentence in facts.sentences:
            for chunk in chunks(sentence, lexicon):
                self._add(chunk, (chunk.role,))
        for chunk in chunks(facts.brand, lexicon):
            self._add(chunk, _BRAND_ROLES)
        for level in facts.category:
            for chunk in chunks(level, lexicon):
                self._add(chunk, _CATEGORY_ROLES)
        if facts.price is not None:
            for chunk in chunks(f"{facts.price:.2f}", lexicon):
                self._add(chunk, _PRICE_ROLES)
                self._price.update(claim.text for claim in chunk.claims)
        self.opinions = frozenset(facts.said) & lexicon.opinions

    def word(self, claim: Claim) -> bool:
        """Whether the fields hold it at all."""
        known = any((claim.text, denied) in self._roles for denied in (False, True))
        if not known and unspaced(claim.text[0]):
            return self._covered(claim.text)
        return known or claim.text in self.opinions

    def name(self, claim: Claim) -> bool:
        """Whether it may be written like a name."""
        return not claim.name or claim.text in self._names

    def role(self, claim: Claim, chunk: Chunk) -> bool:
        """Whether the fields say it in this role, and deny it if the sentence does."""
        denied = chunk.denied != "no"
        roles = self._roles.get((claim.text, denied), set())
        if chunk.role in roles:
            return True
        if denied:
            return False
        if chunk.role in _MADE_OF and chunk.claims[-1].text in self._of_item and "" in roles:
            return True
        if not chunk.role and claim.text in self.opinions:
            return True
        return unspaced(claim.text[0]) and not self._lexicon.roles

    def only(self, claim: Claim, *, denied: bool) -> bool:
        """Whether the fields say it denied, or not denied, and never the other way round."""
        return (claim.text, denied) in self._roles and (claim.text, not denied) not in self._roles

    def binds(self, chunk: Chunk) -> bool:
        """Whether neighbours are neighbours in the fields, and what binds is said of its own."""
        claims = [claim for claim in chunk.claims if not self._quoted_opinion(claim)]
        if any(not self._follows(one, other) for one, other in pairwise(claims)):
            return False
        for at, claim in enumerate(claims):
            if claim.kind == "number":
                after = claims[at + 1].text if at + 1 < len(claims) else ""
                if after not in self._next[claim.text]:
                    return False
        last = claims[-1] if claims else None
        return last is None or not self.is_bound(last) or self._may_end(last, chunk)

    def may_precede_a_name(self, claim: Claim) -> bool:
        """Whether it may stand before a quoted name: what binds does so only if it's the item's."""
        return not self.is_bound(claim) or claim.text in self._of_item

    def is_bound(self, claim: Claim) -> bool:
        """Whether it is said only of what the fields say it of."""
        if claim.kind != "word" or "+" in claim.text:
            return True
        bound = self._lexicon.bound
        return claim.text in bound if bound is not None else not unspaced(claim.text[0])

    def _quoted_opinion(self, claim: Claim) -> bool:
        return claim.text in self.opinions and not any(
            (claim.text, denied) in self._roles for denied in (False, True)
        )

    def _follows(self, one: Claim, other: Claim) -> bool:
        gap = self._gaps.get((one.text, other.text))
        if gap is None:
            return False
        if "number" in {one.kind, other.kind} or "symbol" in {one.kind, other.kind}:
            return gap == 1
        if self.is_bound(one) or self.is_bound(other):
            return gap == 1 or (gap == _NEAR and not self.is_bound(other))
        return True

    def _may_end(self, last: Claim, chunk: Chunk) -> bool:
        """Whether a binding word may be the last of its chunk: `is black`, `of steel`, `2 l`."""
        if (last.text, chunk.role, chunk.about) in self._ends:
            return True
        about_item = not chunk.about or "" in self._roles.get((chunk.about, False), {""})
        return last.text in self._of_item | self._price and about_item

    def _add(self, chunk: Chunk, roles: Sequence[str]) -> None:
        if chunk.denied == "unsure":
            return
        denied = chunk.denied == "yes"
        texts = [claim.text for claim in chunk.claims]
        for at, claim in enumerate(chunk.claims):
            self._roles[claim.text, denied].update(roles)
            self._next[claim.text].add(texts[at + 1] if at + 1 < len(texts) else "")
            if claim.name:
                self._names.add(claim.text)
            if unspaced(claim.text[0]):
                self._unspaced.append(claim.text)
            for gap, other in enumerate(texts[at + 1 :], start=1):
                self._gaps[claim.text, other] = min(gap, self._gaps.get((claim.text, other), gap))
        if chunk.about or texts[-1] not in self._lexicon.degrees:
            self._ends.update((texts[-1], role, chunk.about) for role in roles)

    def _first_bound(self, claims: Sequence[Claim]) -> list[str]:
        """What binds first in a title, for what comes later may be said of a part; and measures."""
        found: list[str] = []
        for claim in claims:
            if claim.kind == "word" and self.is_bound(claim):
                found.append(claim.text)
            elif found:
                break
        measures = [claim.text for claim in claims if _is_measure(claim)]
        return [text for text in found if text not in self._lexicon.degrees] + measures

    def _covered(self, run: str) -> bool:
        """Whether a text without spaces is made of neutral words and of parts of the fields."""
        at = 0
        while at < len(run):
            step = max(
                (end - at for end in range(at + 1, len(run) + 1) if self._is_part(run[at:end])),
                default=0,
            )
            if not step:
                return False
            at += step
        return True

    def _is_part(self, part: str) -> bool:
        if part in self._lexicon.neutral:
            return True
        if len(part) < _SHORTEST_PART or part[0] in self._lexicon.negators:
            return part in self._unspaced
        return any(self._undenied(part, text) for text in self._unspaced)

    def _undenied(self, part: str, text: str) -> bool:
        at = text.find(part)
        while at >= 0:
            if not at or text[at - 1] not in self._lexicon.negators:
                return True
            at = text.find(part, at + 1)
        return False


def _is_measure(claim: Claim) -> bool:
    return claim.kind == "number" and " " in claim.text
