"""Two shops in one serving process: the same ids, and nothing of one in the other's lists."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from features.catalog import Catalog
from features.store import MemoryStore, UserFeatures
from serving.answer import Answerer, Taken
from serving.shops import Shops
from stream.batching import PlainRecord
from stream.clock import ManualClock
from stream.events import (
    ItemVector,
    Recommendation,
    decode_recommendation,
    json_encode,
    msgpack_encode,
)
from stream.forget import Forgotten
from stream.tenants import inside
from stream.topics import Topics
from tests.unit.serving.shop import (
    NOW_MS,
    PLAIN,
    PlainModels,
    PlainRanker,
    example,
    item,
    publish,
    user,
)

TOPICS = Topics("shop.")
TENANTS = ("acme", "brew")


def of(tenant: str, one: ItemVector, **more: object) -> ItemVector:
    return msgspec.structs.replace(one, item_id=inside(tenant, one.item_id), **more)


class Stack:
    """Shops whose items have the same ids: teas at acme, tools at brew, three at the nameless."""

    def __init__(self) -> None:
        clock = ManualClock(NOW_MS)
        self.shops = Shops(TENANTS, Catalog(2), models=PlainModels(), config=PLAIN, clock=clock)
        for tenant, category in (("acme", "Tea"), ("brew", "Tools")):
            for n in range(6):
                title = f"{tenant}'s {category} {n}"
                self.upsert(of(tenant, item(f"i{n}", category, 0.1 * n, title=title)))
        for n in range(3):
            self.upsert(item(f"i{n}", "Old", 0.1 * n, title=f"old {n}"))
        for name, made in self.shops.recommenders.items():
            made.ranker = PlainRanker(self.shops.of(name).index.catalog)
        self.store = Counting()
        who = self.shops.recommenders
        self.answerer = Answerer(self.store, who[""], PLAIN, TOPICS, clock, recommenders=who)

    def upsert(self, one: ItemVector) -> None:
        self.shops.apply(PlainRecord(one.item_id.encode(), msgpack_encode(one), 0))

    def ask(self, *asked: Taken) -> list[Recommendation]:
        replies = self.answerer.answer(self.answerer.take(asked))
        self.answerer.sent(replies)
        for one in replies.answers:
            assert b"u001f" not in (one.value or b"")
        return [decode_recommendation(one.value or b"") for one in replies.answers]


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, user_ids: object) -> list[UserFeatures | None]:
        self.reads += 1
        return super().read(user_ids)  # type: ignore[arg-type]


def request(offset: int, tenant: str | None = None, **more: object) -> Taken:
    asked = {"request_id": "r1", "user_id": "ada", "k": 4, **more}
    asked |= {} if tenant is None else {"tenant": tenant}
    return Taken(
        TOPICS.requests, 0, PlainRecord(b"ada", json.dumps(asked).encode(), offset, NOW_MS)
    )


def titles(answer: Recommendation) -> set[str]:
    return {one.title.split()[0] for one in answer.items}


def test_each_shop_is_answered_from_its_own_items_in_one_batch_with_one_read() -> None:
    stack = Stack()
    stack.store.write([user(inside("acme", "ada"), (inside("acme", "i5"), "view"))])
    acme, old, brew = stack.ask(request(1, "acme"), request(2), request(3, "brew"))
    assert stack.store.reads == 1
    assert (acme.tenant, old.tenant, brew.tenant) == ("acme", msgspec.UNSET, "brew")
    assert [one.user_id for one in (acme, old, brew)] == ["ada"] * 3
    assert (titles(acme), titles(old), titles(brew)) == ({"acme's"}, {"old"}, {"brew's"})
    assert (acme.path, brew.path) == ("model", "cold_user")
    assert "i5" in [one.because_item for one in acme.items]
    assert len(old.items) == 3  # no shop fills its lists from another's shelf


def test_a_reason_names_an_item_without_a_title_as_its_shop_does() -> None:
    stack = Stack()
    stack.upsert(of("acme", item("i9", "Tea", 0.2, title="")))
    stack.store.write([user(inside("acme", "ada"), (inside("acme", "i9"), "purchase"))])
    [answer] = stack.ask(request(1, "acme"))
    assert "because you bought i9" in [one.reason for one in answer.items]


def test_equal_requests_of_two_shops_are_two_requests() -> None:
    stack = Stack()
    first, other = stack.ask(request(1, "acme"), request(2, "brew"))
    again = stack.ask(request(3, "acme"))[0]
    assert again == first
    assert other.recommendation_id != first.recommendation_id


def test_what_was_answered_is_found_again_by_shop() -> None:
    stack, after = Stack(), Stack()
    [first] = stack.ask(request(1, "acme"))
    value = json_encode(first)
    after.answerer.recent.keep_record(PlainRecord(b"ada", value, 0))
    assert after.ask(request(3, "acme"))[0].recommendation_id == first.recommendation_id
    assert after.ask(request(4, "brew"))[0].recommendation_id == "shop.requests-0-4"


def test_forgetting_a_user_of_one_shop_keeps_the_other_ones_answers() -> None:
    stack = Stack()
    stack.ask(request(1, "acme"), request(2, "brew"))
    leaving = PlainRecord(b"k", b'{"user_id": "ada", "tenant": "acme"}', 0, NOW_MS)
    stack.answerer.forgotten.take(0, [leaving])
    stack.answerer.forget()
    assert stack.ask(request(3, "acme"))[0].recommendation_id == "shop.requests-0-3"
    assert stack.ask(request(4, "brew"))[0].recommendation_id == "shop.requests-0-2"
    assert isinstance(stack.answerer.forgotten, Forgotten)


def test_an_unknown_tenant_is_a_dead_letter_that_says_which_there_are() -> None:
    work = Stack().answerer.take([request(1, "acne")])
    assert (work.reasons, work.asks) == (["unknown_tenant"], [])
    message = dict(work.refused[0].headers)["__connect.errors.exception.message"]
    assert message is not None
    assert b"`tenant` must be one of `tenants.names` (acme, brew), got 'acne'" in message


def test_an_event_is_answered_with_its_own_shops_list_and_none_for_a_shop_that_is_gone() -> None:
    stack = Stack()
    asked = [
        Taken(TOPICS.examples, 0, PlainRecord(b"", msgpack_encode(one), n, NOW_MS))
        for n, one in enumerate(
            example(inside(tenant, "ada"), f"e{n}", n, inside(tenant, "i1"))
            for n, tenant in enumerate(("acme", "brew", "gone"))
        )
    ]
    acme, brew = stack.ask(*asked)
    assert (titles(acme), titles(brew)) == ({"acme's"}, {"brew's"})
    assert "i1" not in [one.item_id for one in acme.items]  # it is what they look at


def test_a_tombstone_and_a_version_reach_the_shop_whose_they_are(tmp_path: Path) -> None:
    stack = Stack()
    stack.shops.apply(PlainRecord(inside("acme", "i0").encode(), None, 1))
    stack.shops.apply(PlainRecord(inside("gone", "i0").encode(), None, 2))
    assert [stack.shops.of(name).index.offered for name in ("acme", "brew", "")] == [5, 6, 3]
    for model in ("brew/behaviour", "gone/behaviour"):
        announced = publish(tmp_path, 7, model=model)
        stack.shops.hear(PlainRecord(model.encode(), json_encode(announced), 0))
    for _ in range(3):
        stack.shops.swap_models()
        stack.shops.settle(10)
    versions = {name: made.ranker.version for name, made in stack.shops.recommenders.items()}
    assert versions == {"": 1, "acme": 1, "brew": 7}
