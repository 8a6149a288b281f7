"""Items to vectors: what is encoded again, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.catalogs import Catalogs
from learner.catalogue import PENDING, catalogue_of, encode_items
from learner.config import EncoderConfig
from learner.encoder import TextEncoder
from stream.events import Item, ItemVector
from stream.tenants import tenant_of


class Counting:
    """An encoder that remembers what it was asked to encode."""

    def __init__(self, name: str = "counting") -> None:
        self.name = name
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], np.float16)


def encode(
    items: list[Item], encoder: Counting, known: dict[str, ItemVector], at_once: int = 64
) -> list[list[ItemVector]]:
    parts = list(encode_items(items, encoder, known.get, now_ms=9, at_once=at_once))
    for part in parts:
        known.update({vector.item_id: vector for vector in part})
    return parts


POT = Item(item_id="pot", title="Tea pot", brand="Betty", category=("Home", "Tea"))


def test_a_changed_price_keeps_the_vector_and_a_changed_title_does_not() -> None:
    encoder, known = Counting(), dict[str, ItemVector]()
    encode([POT], encoder, known)
    first = known["pot"]
    encode([msgspec.structs.replace(POT, price=5.0)], encoder, known)
    assert len(encoder.asked) == 1
    assert (known["pot"].price, known["pot"].vector) == (5.0, first.vector)
    encode([Item(item_id="pot", title="Coffee pot")], encoder, known)
    assert encoder.asked[1:] == ["Coffee pot"]
    assert known["pot"].first_seen_ms == first.first_seen_ms


def test_another_encoder_encodes_again() -> None:
    known = dict[str, ItemVector]()
    encode([POT], Counting("one"), known)
    other = Counting("two")
    encode([POT], other, known)
    assert other.asked == ["Tea pot. Betty. Home > Tea"]


def test_the_newest_state_of_an_item_counts() -> None:
    encoder, known = Counting(), dict[str, ItemVector]()
    encode([POT, Item(item_id="pot", title="Kettle")], encoder, known)
    assert encoder.asked == ["Kettle"]
    assert known["pot"].title == "Kettle"


def test_a_large_catalogue_is_announced_before_its_texts_are_encoded() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n}") for n in range(10)]
    parts = encode(items, Counting(), {}, at_once=4)
    assert [len(part) for part in parts] == [10, 4, 4, 2]
    assert all(v.vector == b"" and v.text_hash == PENDING for v in parts[0])
    assert all(v.vector and v.text_hash != PENDING for part in parts[1:] for v in part)


def test_what_was_only_announced_is_encoded_after_a_restart() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n}") for n in range(5)]
    announced = next(encode_items(items, Counting(), lambda _: None, now_ms=1, at_once=2))
    encoder = Counting()
    encode(items, encoder, {vector.item_id: vector for vector in announced})
    assert len(encoder.asked) == 5


def test_an_item_without_text_has_no_vector_and_is_not_encoded() -> None:
    encoder = Counting()
    catalog = catalogue_of([Item(item_id="bare"), POT], encoder, width=2)
    assert encoder.asked == ["Tea pot. Betty. Home > Tea"]
    assert catalog.vectors[catalog.row("bare")].tolist() == [0.0, 0.0]


def test_several_ids_of_one_article_share_the_first_ones_vector() -> None:
    encoder, catalogs = Counting(), Catalogs(Catalog(width=2), {"acme"})

    def take(*items: Item) -> None:
        parts = encode_items(items, encoder, catalogs.known, 9, twin=catalogs.twin)
        for one in [vector for part in parts for vector in part]:
            catalogs.of(tenant_of(one.item_id)).upsert([one])

    def vector(item_id: str) -> bytes:
        known = catalogs.known(item_id)
        assert known is not None
        return known.vector

    pot = msgspec.structs.replace(POT, gtin="4006381333931")
    app, till = (
        msgspec.structs.replace(pot, item_id=name, title=name) for name in ("app-1", "till-1")
    )
    take(pot, app, Item(item_id="cup", title="Cup"))
    assert encoder.asked == ["Tea pot. Betty. Home > Tea", "Cup"]  # one text for two ids
    take(till)
    take(till, app)
    assert len(encoder.asked) == 2
    assert vector("pot") == vector("app-1") == vector("till-1") != vector("cup")
    # Another shop's article of that number is its own.
    take(msgspec.structs.replace(pot, item_id="acme\x1fpot", title="Acme's pot"))
    assert len(encoder.asked) == 3
    # The first one's text counts; the others follow with their own next record.
    take(msgspec.structs.replace(pot, title="Brown pot"))
    take(msgspec.structs.replace(app, title="App pot"))
    assert vector("pot") == vector("app-1")


def test_an_id_that_is_anothers_article_number_is_an_item_of_its_own() -> None:
    encoder, known = Counting(), dict[str, ItemVector]()
    pot = msgspec.structs.replace(POT, gtin="4006381333931")
    encode([pot, Item(item_id=pot.gtin, title="Cup")], encoder, known)
    assert encoder.asked == ["Tea pot. Betty. Home > Tea", "Cup"]
    assert known["pot"].vector != known[pot.gtin].vector


def pictured(item_id: str, title: str, *image: float) -> Item:
    return Item(item_id=item_id, title=title, image_vector=image or None)


def test_items_are_alike_by_their_images_also_where_the_text_is_taken_away() -> None:
    encoder = TextEncoder(EncoderConfig(model="", width=256))
    red, rose, blue, bare = (1.0, 0.1, 0.0), (0.9, 0.2, 0.0), (0.0, 0.1, 1.0), ()
    for titles in (("Cup", "Pan", "Fan", "Cup"), ("", "", "", "Cup")):
        items = [
            pictured(name, title, *image)
            for name, title, image in zip("abcd", titles, (red, rose, blue, bare), strict=True)
        ]
        catalog = catalogue_of(items, encoder, width=256)
        a, b, c, _ = (catalog.vectors[catalog.row(name)].astype(np.float32) for name in "abcd")
        assert a @ b > a @ c + 0.15
        np.testing.assert_allclose(np.linalg.norm(a), 1.0, atol=2e-3)


def test_another_image_is_another_vector() -> None:
    encoder, known = Counting(), dict[str, ItemVector]()
    encode([pictured("a", "Cup", 1.0, 0.0)], encoder, known)
    first = known["a"].vector
    encode([pictured("a", "Cup", 1.0, 0.0)], encoder, known)
    assert len(encoder.asked) == 1
    encode([pictured("a", "Cup", 0.0, 1.0)], encoder, known)
    assert known["a"].vector != first
