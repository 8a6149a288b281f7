"""Events to profile, examples to learner, version to serving: the rooms together, no broker.

The shop sells pairs: who looked at `left-i` looks at `right-i` next. Texts don't tell, so the prior
can't know; a learner that followed the events does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.catalog import Catalog
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, Place, apply, features
from features.profile_state import Profile
from features.shift import DetectorState
from features.store import MemoryStore
from infra.scorer_models import ScorerModels
from learner.config import LearnerConfig, ModelConfig
from learner.online import OnlineLearner
from learner.snapshot import Saved, Snapshots, publish_version
from learner.state import meta_of, save_ranker
from serving.answer import Answerer, Taken
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.swap import AdapterSwap, Swap
from stream.batching import PlainRecord
from stream.clock import ManualClock
from stream.events import (
    AdapterVersion,
    Event,
    Example,
    ItemVector,
    Recommendation,
    decode_recommendation,
    json_encode,
)
from stream.topics import Topics

WIDTH = 64
PAIRS = 60
START_MS = 1_700_000_000_000
TOPICS = Topics("shop.")


class Calm:
    """No shift detection."""

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        del value
        return state, False


def shelf() -> list[ItemVector]:
    random = np.random.default_rng(0)
    items = []
    for side in ("left", "right"):
        for i in range(PAIRS):
            vector = random.normal(size=WIDTH)
            vector /= np.linalg.norm(vector)
            items.append(
                ItemVector(
                    item_id=f"{side}-{i}",
                    vector=vector.astype("<f2").tobytes(),
                    encoder="random",
                    text_hash="",
                    first_seen_ms=START_MS,
                    title=f"{side.title()} {i}",
                    category=(side.title(),),
                )
            )
    return items


@dataclass
class Shop:
    """Each room with its own catalogue, as in its own process."""

    store: MemoryStore
    learner: OnlineLearner
    answerer: Answerer
    swap: AdapterSwap
    snapshots: Snapshots
    model: InterestModel
    asked: int = 0
    offset: int = 0

    def visits(self, count: int, seed: int) -> None:
        """Users who look at both of a pair, or at one of it just now."""
        random = np.random.default_rng(seed)
        examples: list[Example] = []
        for visit in range(count):
            pair, profile = int(random.integers(PAIRS)), Profile()
            for step, side in enumerate(("left", "right")):
                user_id = f"visitor-{seed}-{visit}"
                profile, example = self._event(user_id, f"{side}-{pair}", profile, visit, step)
                examples.append(example)
        self.learner.learn_many(examples)

    def looks_at(self, user_id: str, item_id: str) -> None:
        self._event(user_id, item_id, Profile(), 0, 0)

    def _event(
        self, user_id: str, item_id: str, profile: Profile, visit: int, step: int
    ) -> tuple[Profile, Example]:
        ts_ms = START_MS + 60_000 * visit + 1_000 * step
        event = Event(
            event_id=f"e{self.offset}",
            user_id=user_id,
            item_id=item_id,
            kind="view",
            ts_ms=ts_ms,
            source=f"shop.clicks-0-{self.offset}",
            received_ms=ts_ms,
        )
        applied = apply(profile, event, Place(0, self.offset), self.model)
        self.offset += 1
        self.store.write([features(user_id, applied.profile)])
        assert applied.example is not None
        return applied.profile, applied.example

    def publish(self, version: int) -> AdapterVersion:
        learner = self.learner
        return publish_version(
            self.snapshots,
            version,
            Saved(save_ranker(learner.ranker), meta_of(learner)),
            model="next-item",
            parent=version - 1 or None,
            created_ms=START_MS,
            figures={},
        )

    def announce(self, version: AdapterVersion) -> list[Swap]:
        self.swap.hear(PlainRecord(b"next-item", json_encode(version), version.version))
        swaps = []
        for _ in range(3):
            swap = self.swap.step()
            self.swap.settle(60)
            if swap is not None:
                swaps.append(swap)
                if swap.ranker is not None:
                    self.answerer.recommender.ranker = swap.ranker
        return swaps

    def ask(self, user_id: str, **more: object) -> Recommendation:
        self.asked += 1
        wanted = {"request_id": f"r{self.asked}", "user_id": user_id, "k": 5, **more}
        value = json_encode(wanted)
        record = PlainRecord(user_id.encode(), value, self.asked, START_MS)
        work = self.answerer.take([Taken(TOPICS.requests, 0, record)])
        [answer] = self.answerer.answer(work).answers
        return decode_recommendation(answer.value or b"")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    clock = ManualClock(START_MS + 86_400_000)
    learning = LearnerConfig(device="cpu", model=ModelConfig(transformer=False))
    profile, learner = Catalog(WIDTH), Catalog(WIDTH)
    for catalog in (profile, learner):
        catalog.upsert(shelf())
    models = ScorerModels(learning)
    index = ItemIndex(Catalog(WIDTH))
    index.upsert(shelf())
    served = index.catalog
    config = ServingConfig(mmr_lambda=1.0)
    store = MemoryStore()
    recommender = Recommender(index, models.untrained(served), config, clock)
    return Shop(
        store=store,
        learner=OnlineLearner(learner, learning),
        answerer=Answerer(store, recommender, config, TOPICS, clock),
        swap=AdapterSwap(models, served),
        snapshots=Snapshots(tmp_path, keep=3),
        model=InterestModel(ItemSpace(profile), Calm(), InterestConfig()),
    )


def test_what_is_learnt_is_served_and_explained(shop: Shop) -> None:
    shop.looks_at("ann", "left-7")
    before = shop.ask("ann")
    assert (before.path, before.model_version) == ("no_model", None)
    assert len(before.items) == 5
    assert "right-7" not in [item.item_id for item in before.items]

    shop.visits(400, seed=1)
    [swap] = shop.announce(shop.publish(1))
    assert swap.outcome == "loaded"

    after = shop.ask("ann")
    assert (after.path, after.model_version, after.seen_event_id) == ("model", 1, "e0")
    best = after.items[0]
    assert (best.item_id, best.title) == ("right-7", "Right 7")
    assert (best.reason, best.because_item) == ("because you viewed Left 7", "left-7")


def test_an_unknown_user_gets_what_others_looked_at(shop: Shop) -> None:
    shop.visits(100, seed=1)
    shop.announce(shop.publish(1))
    answer = shop.ask("nobody")
    assert (answer.path, answer.seen_event_id) == ("cold_user", None)
    counted = shop.learner.ranker.experts.popularity.counts_HI[-1]
    looked_at = {shop.learner.catalog.item(int(row)).item_id for row in np.flatnonzero(counted)}
    assert {item.item_id for item in answer.items} <= looked_at
    assert {item.reason for item in answer.items} == {"popular now"}


def test_an_item_that_came_after_the_version_can_be_recommended_at_once(shop: Shop) -> None:
    shop.visits(50, seed=1)
    shop.announce(shop.publish(1))
    like = next(item for item in shelf() if item.item_id == "left-7")
    new = msgspec.structs.replace(like, item_id="new", title="New", category=("Fresh",))
    shop.answerer.recommender.index.upsert([new])
    shop.looks_at("ann", "left-7")
    [only] = shop.ask("ann", filters={"category": "fresh"}).items
    assert (only.item_id, only.reason) == ("new", "because you viewed Left 7")


def test_a_tampered_version_is_refused_by_its_hash_and_the_live_one_answers(shop: Shop) -> None:
    shop.visits(50, seed=1)
    shop.announce(shop.publish(1))
    second = shop.publish(2)
    file = Path(second.path) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    [swap] = shop.announce(second)
    assert (swap.outcome, swap.ranker) == ("refused", None)
    assert shop.ask("ann").model_version == 1


def test_a_version_that_is_rolled_back_gives_way_to_the_older_one_announced_again(
    shop: Shop,
) -> None:
    shop.looks_at("ann", "left-7")
    shop.visits(400, seed=1)
    good = shop.publish(1)
    shop.announce(good)
    shop.visits(5, seed=2)
    bad = shop.publish(2)
    shop.announce(bad)
    assert shop.ask("ann").model_version == 2
    shop.announce(msgspec.structs.replace(bad, status="rolled-back"))
    shop.announce(good)
    answer = shop.ask("ann")
    assert (answer.model_version, answer.items[0].item_id) == (1, "right-7")
