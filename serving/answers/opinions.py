"""What reviews say for and against: shoppers counted, and one sentence quoted of each side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from learner.answers.wording import all_terms, terms
from serving.answers.polarity import (
    feels,
    han_sayings,
    han_says,
    is_opinion,
    praises,
    sayings,
    says,
)
from serving.answers.review_book import Sentence
from stream.asked import Citation, Votes

_ASKS = frozenset(
    terms("people think opinion opinions say review reviews customers shoppers buyers users "
          "overall experience actually much anyone everyone thing product item one worth buy "
          "buying any too so enough quite")
)  # fmt: skip
_LIKED_LENGTH = 140


class Opinion(NamedTuple):
    """What a question asks an opinion of.

    Attributes
    ----------
    about
        Words one of which a sentence must have; none: any sentence counts.
    says
        Whether a sentence says so, 1, or otherwise, -1.
    """

    about: frozenset[str]
    says: Callable[[str], int]


class Heard(NamedTuple):
    """How many say so or otherwise, and who says it best: first the majority."""

    votes: Votes
    citations: tuple[Citation, ...]
    quotes: tuple[str, ...]


def opinion_of(question: str, title: str) -> Opinion | None:
    """What a question asks an opinion of, if it does.

    Parameters
    ----------
    title
        Of the item: its words say nothing about what of it is meant.

    Examples
    --------
    >>> loud = opinion_of("Is the fan loud?", "Desk fan")
    >>> loud.about, loud.says("Very quiet."), opinion_of("What is it for?", "Desk fan")
    (frozenset(), -1, None)
    >>> sorted(opinion_of("How good is the battery?", "Desk fan").about)
    ['battery']
    """
    han = han_sayings(question)
    if han is not None:
        so, otherwise = han
        return Opinion(frozenset(), lambda sentence: han_says(sentence, so, otherwise))
    named = _ASKS.union(terms(title))
    words = [word for word in terms(question) if word not in named]
    opinions = [word for word in words if is_opinion(word)]
    if not opinions:
        return _in_general(question, words)
    about = frozenset(word for word in words if not is_opinion(word))
    judged = [word for word in opinions if len(sayings(word)) > 1] or opinions
    if len(judged) == 1 and len(sayings(judged[0])) > 1:
        meanings = sayings(judged[0])
        return Opinion(about, lambda sentence: says(sentence, meanings))
    sign = praises(opinions[0]) or 1
    return Opinion(about, lambda sentence: sign * feels(sentence))


def _in_general(question: str, words: list[str]) -> Opinion | None:
    """`How is the sound?`, `what do people think of the lid?`."""
    every = all_terms(question)
    asks = {"think", "opinion", "review", "people"} & set(every) or (
        every[:2] in (["how", "is"], ["how", "are"], ["how", "s"]) or every[:1] == ["how's"]
    )
    return Opinion(frozenset(words), feels) if asks else None


def heard(opinion: Opinion, sentences: Iterable[Sentence]) -> Heard | None:
    """Count each shopper once, by what most of their sentences say; `None` if nobody says it."""
    sum_of: defaultdict[str, int] = defaultdict(int)
    said: defaultdict[str, list[tuple[int, Sentence]]] = defaultdict(list)
    for sentence in sentences:
        text = sentence.text
        if opinion.about and opinion.about.isdisjoint(terms(text)):
            continue
        sign = opinion.says(text)
        if sign:
            user_id = sentence.review.user_id
            sum_of[user_id] += sign
            said[user_id].append((sign, sentence))
    say = sum(total > 0 for total in sum_of.values())
    deny = sum(total < 0 for total in sum_of.values())
    if not say + deny:
        return None
    sides = (1, -1) if say >= deny else (-1, 1)
    quoted = [best for side in sides if (best := _clearest(side, sum_of, said)) is not None]
    citations = tuple(
        Citation(
            source="review",
            id=one.review.review_id,
            field="text",
            start=one.span.start,
            end=one.span.end,
            quote=one.text,
        )
        for one in quoted
    )
    return Heard(Votes(say=say, deny=deny), citations, tuple(one.text for one in quoted))


def _clearest(
    side: int, sum_of: dict[str, int], said: dict[str, list[tuple[int, Sentence]]]
) -> Sentence | None:
    """Of one side, the sentence nearest to a good length to read; of equal ones the newest."""
    of_side = [
        sentence
        for user_id, lines in said.items()
        if sum_of[user_id] * side > 0
        for sign, sentence in lines
        if sign == side
    ]
    return min(
        of_side,
        key=lambda one: (max(len(one.text) - _LIKED_LENGTH, 0), -one.review.ts_ms, one.span.start),
        default=None,
    )
