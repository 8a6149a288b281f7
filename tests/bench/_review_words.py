"""Made-up reviews in two languages from the same plan: what is planted is the same in both.

A review is two or three sentences. Each says something of an aspect: praise, a complaint, or
neither; the stars follow from what is said most. Words that only connect carry no sentiment.
"""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

Language = Literal["en", "zh"]


class Words(NamedTuple):
    """What one language says it with."""

    aspects: tuple[str, ...]
    praise: tuple[str, ...]
    middling: tuple[str, ...]
    complaint: tuple[str, ...]
    opening: tuple[str, ...]
    between: str


WORDS: dict[Language, Words] = {
    "en": Words(
        (
            "the lid",
            "the handle",
            "delivery",
            "the colour",
            "the packaging",
            "the size",
            "the price",
        ),
        (
            "{} is excellent",
            "I love {}",
            "{} works perfectly",
            "{} is very good",
            "{} is not bad at all",
            "very happy with {}",
        ),
        ("{} is average", "{} is so-so", "{} is neither good nor bad", "{} is just acceptable"),
        (
            "{} is terrible",
            "{} is not good",
            "{} broke at once",
            "I regret {}",
            "very disappointed with {}",
            "{} is far from perfect",
        ),
        (
            "bought it last week",
            "a present for my mother",
            "second time here",
            "used it for a month",
        ),
        ". ",
    ),
    "zh": Words(
        ("盖子", "手柄", "物流", "颜色", "包装", "尺寸", "价格"),
        ("{}非常出色", "很喜欢{}", "{}用起来完美", "{}很好", "{}一点也不差", "对{}非常满意"),
        ("{}一般", "{}马马虎虎", "{}不好也不坏", "{}只能说还可以"),
        ("{}糟糕透了", "{}不好", "{}马上就坏了", "后悔买了{}", "对{}非常失望", "{}远谈不上完美"),
        ("上周买的", "送给妈妈的礼物", "第二次来这里买", "用了一个月"),
        "。",
    ),
}


class Made(NamedTuple):
    """One review."""

    text: str
    rating: float
    user: str
    item: str


def made_reviews(language: Language, count: int, seed: int) -> list[Made]:
    """Reviews of one plan: the same seed gives the same aspects, sentiments and stars.

    >>> [made_reviews(language, 3, 1)[2].rating for language in ("en", "zh")]
    [4.0, 4.0]
    """
    chance, words, made = random.Random(seed), WORDS[language], list[Made]()
    for n in range(count):
        sentiment = chance.choices((0, 1, 2), (2, 1, 7))[0]
        stars = (chance.choice((1, 2)), 3, chance.choice((4, 5)))[sentiment]
        kinds = (words.complaint, words.middling, words.praise)
        said = [chance.choice(range(6)), chance.choice(range(6))]
        aspects = chance.sample(range(len(words.aspects)), 2)
        parts = [words.opening[chance.randrange(4)]] if chance.random() < 0.6 else []
        for which, aspect in zip(said, aspects, strict=True):
            of = kinds[sentiment]
            parts.append(of[which % len(of)].format(words.aspects[aspect]))
        chance.shuffle(parts)
        made.append(Made(words.between.join(parts), float(stars), f"u{n % 97}", f"i{n % 31}"))
    return made
