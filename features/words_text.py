"""What is said of a user: claims with their counts, and the two or three sentences made of them.

A claim is a name and the numbers that it rests on, so that whoever has the state can count again.
The sentences add nothing: a template, in English, or in Chinese where the shop's names are Chinese.
Names stay as the shop writes them. Nothing names the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from stream.events import KINDS, Kind

WordsLanguage = Literal["en", "zh"]

MAX_NAME = 48
"""Characters of a category's or brand's name in a sentence; longer ones are cut."""

MAX_CHARS = 640
"""No text is longer: five names, three dates, and what is between them."""


class Share(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """That `n` of `of` have to do with a name; nothing is claimed where the name is empty."""

    name: str = ""
    n: int = 0
    of: int = 0


class Turn(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """That interest moved to a name at a time; `before` is what most events before were about."""

    to: str = ""
    at_ms: int = 0
    before: Share = Share()


class Words(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was claimed of a user when they were last described.

    Attributes
    ----------
    counts
        Events of each kind, in the order of `stream.events.KINDS`; none: never described.
    first_ms, last_ms
        The times of the oldest and the newest event.
    category, brand
        What most of the newest events are about.
    price
        The mean of all prices that were seen, in the shop's currency, and their number; of none 0.
    turned
        The newest interest shift.
    praises
        What the user's newest reviews praise most, of all that were kept.
    """

    counts: tuple[int, ...] = ()
    first_ms: int = 0
    last_ms: int = 0
    category: Share = Share()
    brand: Share = Share()
    price: tuple[float, int] = (0.0, 0)
    turned: Turn = Turn()
    praises: Share = Share()

    @property
    def events(self) -> int:
        """How many events the claims rest on."""
        return sum(self.counts)


NO_WORDS = Words()

_CJK = re.compile("[\u4e00-\u9fff]")


def language_of(words: Words) -> WordsLanguage:
    """The language of the sentences: that of the names in them.

    >>> language_of(Words(category=Share("厨房", 3, 5))), language_of(Words())
    ('zh', 'en')
    """
    names = (words.category.name, words.brand.name, words.turned.to, words.praises.name)
    return "zh" if _CJK.search(" ".join(names)) else "en"


@lru_cache(maxsize=4096)
def text_of(words: Words) -> str:
    """The sentences; empty for a user who was never described.

    >>> print(text_of(Words((8, 3, 0, 1, 0), 0, 86_400_000, Share("Bikes", 7, 10),
    ...     price=(35.0, 12), turned=Turn("Bikes", 80_000_000, Share("Tea", 2, 3)))))
    Now most often Bikes: 7 of the newest 10 events; prices of 35.00 on average (12 seen). \
On 1 January 1970 interest turned to Bikes; of the 3 kept events before, 2 were about Tea. \
In all 12 events from 1 January 1970 to 2 January 1970: 8 views, 3 clicks, 1 purchase.
    """
    if not words.events:
        return ""
    return _chinese(words) if language_of(words) == "zh" else _english(words)


_MANY = dict(zip(KINDS, ("views", "clicks", "carts", "purchases", "reviews"), strict=True))
_ZH_KINDS = dict(zip(KINDS, ("浏览", "点击", "加购", "购买", "评论"), strict=True))


def _english(words: Words) -> str:
    said = []
    now = _join_now(
        [
            _share(words.category, "most often {name}: {n} of the newest {of} events"),
            _share(words.brand, "by {name} in {n} of {of}"),
            _price(words, "prices of {0:.2f} on average ({1} seen)"),
        ]
    )
    if now:
        said.append(f"Now {now}." if words.category.name else f"{now[0].upper()}{now[1:]}.")
    if words.turned.to:
        turned = f"On {_day(words.turned.at_ms)} interest turned to {words.turned.to}"
        before = _share(
            words.turned.before, "; of the {of} kept events before, {n} were about {name}"
        )
        said.append(f"{turned}{before}.")
    kinds = _kinds(words, lambda kind, n: f"{n} {kind if n == 1 else _MANY[kind]}", ", ")
    praise = _share(words.praises, "; {n} of the newest {of} reviews praise {name}")
    many = "event" if words.events == 1 else "events"
    since = f"from {_day(words.first_ms)} to {_day(words.last_ms)}"
    said.append(f"In all {words.events} {many} {since}: {kinds}{praise}.")
    return " ".join(said)


def _chinese(words: Words) -> str:
    said = []
    now = _join_now(
        [
            _share(words.category, "目前最常关注{name}：最近{of}次行为中有{n}次"),
            _share(words.brand, "其中{of}次里{n}次是{name}"),
            _price(words, "所见价格平均{0:.2f}（共{1}个）"),
        ],
        "，",
    )
    if now:
        said.append(f"{now}。")
    if words.turned.to:
        before = _share(words.turned.before, "；此前{of}次行为中有{n}次关于{name}")
        said.append(f"{_zh_day(words.turned.at_ms)}兴趣转向{words.turned.to}{before}。")
    kinds = _kinds(words, lambda kind, n: f"{_ZH_KINDS[kind]}{n}次", "、")
    praise = _share(words.praises, "；最近{of}条评论中有{n}条称赞{name}")
    since = f"{_zh_day(words.first_ms)}至{_zh_day(words.last_ms)}"
    said.append(f"{since}共{words.events}次行为：{kinds}{praise}。")
    return "".join(said)


def _share(share: Share, template: str) -> str:
    # Not `str.format` on the result: a shop's names may hold braces.
    return template.format(name=share.name, n=share.n, of=share.of) if share.name else ""


def _price(words: Words, template: str) -> str:
    return template.format(*words.price) if words.price[1] else ""


def _join_now(parts: list[str], between: str = "; ") -> str:
    return between.join(part for part in parts if part)


def _kinds(words: Words, say: Callable[[Kind, int], str], between: str) -> str:
    return between.join(say(kind, n) for kind, n in zip(KINDS, words.counts, strict=True) if n)


def _day(at_ms: int) -> str:
    day = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _zh_day(at_ms: int) -> str:
    day = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{day.year}年{day.month}月{day.day}日"


_MONTHS = (
    "January February March April May June July August September October November December"
).split()
"""Not the machine's locale."""
