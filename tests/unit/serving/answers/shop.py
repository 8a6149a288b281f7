"""A small shop that may be asked: three items, some reviews, two documents."""

from __future__ import annotations

from collections.abc import Sequence

from features.catalog import Catalog
from serving.answers.answering import Answering
from serving.answers.fields import Asked
from serving.answers.knowledge import Knowledge
from serving.answers.reading import Reader
from serving.answers.replies import Question
from serving.answers.review_book import Said
from serving.index import ItemIndex
from stream.asked import Answer, Document
from stream.events import AttributeValue, ItemVector


def item(item_id: str, title: str, **more: object) -> ItemVector:
    """An item without a vector."""
    fields: dict[str, object] = {
        "vector": b"", "encoder": "", "text_hash": "", "first_seen_ms": 0,
    }  # fmt: skip
    return ItemVector(item_id=item_id, title=title, **(fields | more))  # type: ignore[arg-type]


_FAN: dict[str, AttributeValue] = {
    "weight": "2.5 kg", "product colour": "white", "timer": True, "remote control": False,
    "cable length": 1.8,
}  # fmt: skip
ITEMS = (
    item("fan", "Breeze 300 Desk Fan", brand="Acme", category=("Home", "Fans"), price=39.9,
         attributes=_FAN, description="A fan for desks. It runs on USB power as well."),
    item("tower", "Storm Tower Fan", brand="Bolt", category=("Home", "Fans"), price=89.0,
         attributes={"weight": "4 kg", "package weight": "5 kg"}),
    item("pot", "Cast Iron Tea Pot", brand="Betty", category=("Kitchen", "Tea pots"), price=25.0),
)  # fmt: skip

REVIEWS = (
    ("ann", "Very quiet. I use it in the nursery every night.", 5.0),
    ("bob", "It is not loud at all.", 5.0),
    ("cem", "Way too noisy! I returned it after two days.", 1.0),
    ("dan", "The stand is wobbly.", 2.0),
    ("eva", "Battery? None. The cord is long enough for our kitchen.", 4.0),
)

DOCUMENTS = (
    Document(
        document_id="returns",
        title="Returns",
        text="You can send an item back within 30 days. We refund you within 5 days after it "
        "arrives. The return label is free.",
    ),
    Document(
        document_id="lieferung",
        title="配送",
        text="订单在24小时内发货。运费为10元，满99元免运费。",
        language="zh",
    ),
)


def knowledge(reviews: Sequence[tuple[str, str, float]] = REVIEWS) -> Knowledge:
    """What the shop knows."""
    index = ItemIndex(Catalog(width=2, texts=True))
    index.upsert(list(ITEMS))
    known = Knowledge(index)
    for n, (user, text, _) in enumerate(reviews):
        known.reviews.add(Said(f"review-{n}", user, "fan", text, n))
    for document in DOCUMENTS:
        known.documents.put(document)
    return known


def named(text: str) -> Asked | None:
    """The item whose title has a word of a text."""
    words = set(text.lower().split())
    return next((one for one in ITEMS if words & set(one.title.lower().split()[:2])), None)


def ask(known: Knowledge, text: str, item_id: str | None = "fan") -> Answer:
    """Ask one question."""
    question = Question(text, "zoe", 1_000, "q-1", "r-1", item_id)
    return Answering(known, Reader(), named).reply(question).answer
