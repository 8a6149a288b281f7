"""Which field a question asks for: by the names that the catalogue has for its items' fields.

The whole catalogue's names are known, not only the item's. "What is the package weight?" asks for
the package's weight, also of an item that only says its own: then nobody knows, and its own weight
would be a wrong answer. A question counts only if nothing in it is left over: of "is there a weight
limit?" the word `limit` is, so it doesn't ask for the weight.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from learner.answers.wording import STOP, all_terms, folded, terms
from serving.answers.fields import Asked, Field, field_of, is_truth, normal
from serving.answers.routes import in_chinese

LONGEST_NAME = 24
"""Words of a name that are compared; longer names are asked for by nobody."""

_NOISE = frozenset(
    terms(
        "product item article thing device model value tell know please exactly exact need want "
        "give say specification spec feature detail listed list see question information info does "
        "this have include come comes much many kind sort type unit number total amount also just "
        "really actually thanks thank hi hello hey one ones get got look wonder wondering "
        "support supports supported equipped offer offers provide provides contain contains use "
        "uses available actual like yes"
    )
) - {"number"}  # fmt: skip
"""Words that ask, and don't say for what."""

_COUNTING = frozenset({"quantit", "quantity", "number", "count", "amount"})

_PHRASES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), names)
    for pattern, names in (
        (r"\bhow heavy\b|\b(does|do) .{0,80}\bweigh\b|\bweigh(s)? how much\b|多重|重量|有多沉",
         ("weight", "item weight", "product weight", "net weight", "重量", "净重")),
        (r"\bhow wide\b|多宽|宽度", ("width", "item width", "product width", "宽度")),
        (r"\bhow (tall|high)\b|多高|高度", ("height", "item height", "product height", "高度")),
        (r"\bhow deep\b|多深|深度", ("depth", "item depth", "product depth", "深度")),
        (r"\bhow thick\b|多厚|厚度", ("thickness", "厚度")),
        (r"\bhow long is\b|多长(?!时间)|长度", ("length", "item length", "product length", "长度")),
        (r"\bhow (big|large) is\b|\bwhat size\b|\bhow big\b|多大|尺寸|大小",
         ("size", "dimensions", "product dimensions", "dimensions wxdxh", "尺寸")),
        (r"\b(what|which) colou?rs?\b|\bcolou?r is\b|颜色|什么色",
         ("colour", "color", "product colour", "product color", "颜色")),
        (r"\bmade (out )?(of|from)\b|\b(what|which) materials?\b|材质|材料|什么做的",
         ("material", "materials", "材质", "材料")),
        (r"\bwhere (is|was|are) .{0,80}\b(made|produced|manufactured)\b|"
         r"\bwhere does .{0,80}\bcome from\b|产地|哪里(生产|产)|哪国",
         ("country of origin", "origin", "made in", "产地", "原产地")),
        (r"\bhow much (is|are|does|do|for)\b|\bwhat (does|do) .{0,80}\bcosts?\b|\bhow expensive\b|"
         r"\b(price|cost)\b|价格|多少钱|价钱|售价",
         ("price", "价格")),
        (r"\bwho (makes|made|manufactures|produces|is the (maker|manufacturer|brand))\b|"
         r"\b(what|which) (brand|make)\b|\bmanufacturer\b|品牌|牌子|厂家",
         ("brand", "manufacturer", "品牌")),
        (r"\b(in stock|available|sold out|out of stock)\b|有货|现货|库存|缺货", ("available",)),
        (r"\bcategory\b|类别|分类|类目", ("category", "类别")),
        (r"\bhow old\b|适合年龄|几岁", ("recommended age", "recommended age min", "age", "年龄")),
        (r"容量", ("capacity", "容量")),
        (r"功率", ("power", "power consumption", "功率")),
        (r"保修", ("warranty", "保修")),
    )
)  # fmt: skip
"""Ways to ask for a field that don't name it, and how shops name it."""

_PHRASE_WORDS = frozenset(
    terms("heavy weigh weighs wide tall high deep thick long big large size colour color colours "
          "colors made material materials out where come from produced manufactured expensive cost "
          "costs price makes manufactures produces maker manufacturer brand make stock sold "
          "available category old how is")
)  # fmt: skip
_HAN_NOISE = re.compile(
    r"[的了呢吗啊吧是在哪里多少什么这那个款件台只请问一下有它们在为怎样]|商品|产品|东西|想|知道|告诉|我|几"
)


class Meant(NamedTuple):
    """What a question asks for: names of fields, the first that an item has counts."""

    names: tuple[str, ...]
    yes_no: bool


class AttributeNames:
    """The names of all fields in a catalogue.

    Examples
    --------
    >>> from stream.events import Item
    >>> pot = Item(item_id="pot", title="Tea pot", attributes={"Weight": "1.5 kg"})
    >>> names = AttributeNames()
    >>> names.add(["weight", "package weight", "lid colour"])
    >>> names.meant("How heavy is the tea pot?", pot).names[0]
    'weight'
    >>> names.meant("What is the package weight?", pot).names, names.meant("Any weight limit?", pot)
    (('package weight',), None)
    """

    def __init__(self) -> None:
        self._of_items: Counter[str] = Counter()
        self._verbatim: dict[tuple[str, ...], set[str]] = {}
        self._bags: dict[frozenset[str], set[str]] = {}
        self._han: set[str] = set()

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._of_items)

    def add(self, names: Iterable[str]) -> None:
        """Take in the names of an item's fields."""
        for name in names:
            self._of_items[name] += 1
            if self._of_items[name] == 1:
                for index, key in self._keys(name):
                    index.setdefault(key, set()).add(name)
                if in_chinese(name):
                    self._han.add(name)

    def remove(self, names: Iterable[str]) -> None:
        """Drop them again, when the item is gone or replaced."""
        for name in names:
            self._of_items[name] -= 1
            if self._of_items[name] <= 0:
                del self._of_items[name]
                for index, key in self._keys(name):
                    index.get(key, set()).discard(name)
                self._han.discard(name)

    def meant(self, question: str, item: Asked) -> Meant | None:
        """What a question about an item asks for; `None` where it names no field, or more."""
        yes_no = bool(_YES_NO.search(question))
        if in_chinese(question):
            return self._meant_han(question, yes_no=yes_no)
        asked = without_title(question, item.title)
        words = all_terms(asked)
        free = _NOISE | set(terms(f"{item.title} {item.brand} {_path(item)}"))
        verbatim, length = self._by_name(words, free)
        if length > 1:
            return Meant(verbatim, yes_no)
        for pattern, names in _PHRASES:
            if pattern.search(asked):
                if not [w for w in words if w not in STOP | free | _PHRASE_WORDS]:
                    return Meant(names, yes_no and names == ("available",))
        return Meant(verbatim, yes_no) if length else self._by_bag(words, free, yes_no=yes_no)

    def _by_name(self, words: list[str], free: AbstractSet[str]) -> tuple[tuple[str, ...], int]:
        """The longest name that stands in a question, with nothing left over, and its length."""
        for start, end in _longest_first(len(words)):
            if names := self._verbatim.get(tuple(words[start:end])):
                if all(w in STOP or w in free for w in (*words[:start], *words[end:])):
                    return tuple(sorted(names)), end - start
        return (), 0

    def _by_bag(self, words: list[str], free: AbstractSet[str], *, yes_no: bool) -> Meant | None:
        """By the same words in another order: `resolution of the display`."""
        content = frozenset(word for word in words if word not in STOP)
        for left in (content, content - _NOISE, content - free):
            if left and (names := self._bags.get(left - _COUNTING)):
                return Meant(tuple(sorted(names)), yes_no) if len(names) == 1 else None
        return None

    def _meant_han(self, question: str, *, yes_no: bool) -> Meant | None:
        asked = folded(question)
        found = [name for name in self._han if name in asked]
        if found:
            longest = max(found, key=len)
            if not _HAN_NOISE.sub("", asked.replace(longest, "")).strip("？?，。 ！"):
                return Meant((longest,), yes_no)
        for pattern, names in _PHRASES:
            if match := pattern.search(asked):
                rest = _HAN_NOISE.sub("", asked.replace(match[0], ""))
                if not in_chinese(rest):
                    return Meant(names, yes_no and names == ("available",))
        return None

    def _keys(self, name: str) -> Iterator[tuple[dict, tuple[str, ...] | frozenset[str]]]:  # type: ignore[type-arg]
        words = all_terms(name)[:LONGEST_NAME]
        if words:
            yield self._verbatim, tuple(words)
        bag = frozenset(word for word in words if word not in STOP) - _COUNTING
        if bag:
            yield self._bags, bag


def look_up(meant: Meant, item: Asked) -> Field | None:
    """The first of the fields that are meant which an item has; `yes` is no colour."""
    several = len(meant.names) > 1
    for name in meant.names:
        found = field_of(item, normal(name))
        if found is not None and (not several or meant.yes_no or not is_truth(found)):
            return found
    return None


_YES_NO = re.compile(
    r"^\W*(is|are|does|do|did|has|have|can|will|was)\b|吗|有没有|是否|是不是", re.IGNORECASE
)


def without_title(question: str, title: str) -> str:
    """A question without the item's title, where it is quoted whole."""
    if title and (at := question.casefold().find(title.casefold())) >= 0:
        return f"{question[:at]} it {question[at + len(title) :]}"
    return question


def _path(item: Asked) -> str:
    return item.category if isinstance(item.category, str) else " ".join(item.category)


def _longest_first(count: int) -> Iterator[tuple[int, int]]:
    for length in range(min(count, LONGEST_NAME), 0, -1):
        for start in range(count - length + 1):
            yield start, start + length
