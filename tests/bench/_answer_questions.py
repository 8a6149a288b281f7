"""Questions with known answers, made from the fields of real catalogues.

Half of them ask for a field that the item has, half for one that only other items have: there the
right answer is that nobody knows.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from stream.events import AttributeValue, Item

COMMON = 20
"""Items that have a field, from which on it is asked for of others as well."""

_ASKS = (
    "What is the {name}?",
    "What's the {name} of this product?",
    "Can you tell me the {name}?",
    "Which {name} does it have?",
    "I'd like to know the {name}, please.",
    "{name}?",
    "What is the {name} of the {title}?",
)
_ASKS_YES_NO = ("Does it have {name}?", "Does the {title} have {name}?", "{name}, yes or no?")

_NATURAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("weight", ("How heavy is it?", "How much does it weigh?", "它有多重？", "重量是多少？")),
    ("width", ("How wide is it?", "它有多宽？", "宽度是多少？")),
    ("height", ("How tall is it?", "How high is it?", "这个多高？")),
    ("depth", ("How deep is it?", "深度是多少？")),
    ("product colour", ("What colour is it?", "What color is this product?", "什么颜色的？")),
    ("material", ("What is it made of?", "Which material is it made from?", "是什么材质的？")),
    ("country of origin", ("Where is it made?", "Where does it come from?", "产地是哪里？")),
)
_PRICE = ("How much is it?", "What does it cost?", "What is the price?", "多少钱？", "价格是多少？")
_BRAND = ("Which brand is it?", "Who makes it?", "什么牌子？")


class Question(NamedTuple):
    """A question about an item, and the value that answers it: `None` where it has none."""

    item: Item
    text: str
    value: str | None
    of: str


def chorus(folder: Path) -> list[Item]:
    """The products of `chorus_icecat` with their attributes under readable names."""
    rows = pq.read_table(folder / "products.parquet").to_pylist()
    return [
        Item(
            item_id=row["product_id"],
            title=row["title"] or "",
            description=re.sub(r"<[^>]*>", " ", row["short_description"] or ""),
            category=(row["category"],) if row["category"] else (),
            brand=row["brand"] or "",
            price=float(row["price"]),
            attributes=_attributes(json.loads(row["attributes"] or "{}")),
        )
        for row in rows
    ]


def uci(folder: Path) -> list[Item]:
    """The items of `uci_online_retail`: names and prices."""
    rows = pq.read_table(folder / "items.parquet").to_pylist()
    return [Item(item_id=r["item_id"], title=r["title"] or "", price=r["price"]) for r in rows]


def _attributes(raw: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    named = {}
    for name, value in raw.items():
        label = " ".join(re.sub(r"^attr_[tnb]_", "", name).split("_")).strip()
        named[" ".join(label.split())[:128]] = float(value) if type(value) is int else value
    return {name: value for name, value in named.items() if name and value != ""}


def questions(items: list[Item], count: int, seed: int) -> Iterator[Question]:
    """So many questions about each of some items: half with an answer, half without one."""
    chance = random.Random(seed)
    names = Counter(name for item in items for name in item.attributes)
    kinds = {n: type(v) for item in items for n, v in item.attributes.items()}
    common = [name for name, n in names.items() if n >= COMMON]
    weights = [names[name] for name in common]
    for item in chance.sample(items, min(count, len(items))):
        present = sorted(item.attributes)
        for name in chance.sample(present, min(2, len(present))):
            yield _plain(chance, item, name, item.attributes[name], kinds[name])
        if common:
            missing = [n for n in chance.choices(common, weights, k=6) if n not in item.attributes]
            for name in missing[:2]:
                yield _plain(chance, item, name, None, kinds[name])
        yield from _natural(chance, item)


def _plain(
    chance: random.Random, item: Item, name: str, value: AttributeValue | None, kind: type
) -> Question:
    form = chance.choice(_ASKS_YES_NO if kind is bool else _ASKS)
    text = form.format(name=name, title=item.title)
    return Question(item, text, None if value is None else told(value), name)


def _natural(chance: random.Random, item: Item) -> Iterator[Question]:
    name, forms = chance.choice(_NATURAL)
    word = name.split()[-1]
    if name in item.attributes:
        yield Question(item, chance.choice(forms), told(item.attributes[name]), name)
    elif not any(word in other for other in item.attributes):
        yield Question(item, chance.choice(forms), None, name)
    if item.price is not None:
        yield Question(item, chance.choice(_PRICE), told(float(item.price)), "price")
    text = chance.choice(_BRAND)
    yield Question(item, text, item.brand or None, "brand")


def told(value: AttributeValue) -> str:
    """A value as an answer is to tell it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else repr(value)
