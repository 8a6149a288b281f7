"""The interest space: the same everywhere, faithful to angles, and quick to follow a change."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from features.catalog import Catalog
from features.interest import (
    NO_FACTS,
    InterestConfig,
    ItemSpace,
    projection,
)
from features.pulls import Interests, Pulled, Strength, pull_all
from stream.events import Event, ItemVector, Kind

EAST, NORTH = np.eye(64, dtype=np.float32)[:2]
CONFIG = InterestConfig()


def item(item_id: str, vector: np.ndarray[tuple[int], np.dtype[np.float32]]) -> ItemVector:
    return ItemVector(
        item_id=item_id,
        vector=vector.astype("<f2").tobytes(),
        encoder="test",
        text_hash="",
        first_seen_ms=0,
    )


def test_the_projection_is_the_same_on_every_machine() -> None:
    digest = sha256(projection(384).astype("<f4").tobytes()).hexdigest()
    assert digest == "544d47adf5df5f793b3c159a9ed3a0bc6c93296d259062c38030ea522def559f"


@pytest.mark.parametrize("width", [2, 64, 384])
def test_the_projection_keeps_lengths_and_angles(width: int) -> None:
    matrix = projection(width)
    gram = matrix @ matrix.T if width < 64 else matrix.T @ matrix
    assert matrix.shape == (width, 64)
    np.testing.assert_allclose(gram, np.eye(min(width, 64)), atol=2e-3)


def test_items_are_projected_anew_when_their_text_changes() -> None:
    catalog = Catalog(width=64)
    space = ItemSpace(catalog)
    assert space.facts("a") == NO_FACTS
    catalog.upsert([item("a", EAST)])
    first = space.facts("a").vector_D
    catalog.upsert([item("a", NORTH)])
    second = space.facts("a").vector_D
    assert first is not None
    assert second is not None
    assert abs(float(first @ second)) < 0.01


def test_an_item_without_text_has_no_vector() -> None:
    catalog = Catalog(width=64)
    catalog.upsert([item("a", np.zeros(0, np.float32))])
    assert ItemSpace(catalog).facts("a").vector_D is None


def pull(
    interests: Interests, vector_D: np.ndarray[tuple[int], np.dtype[np.float32]], later: int = 0
) -> Pulled:
    """One full pull, after which `later` events came that are known already."""
    pulls = [Strength(CONFIG).pull(vector_D, 1.0, interests.pulls, later)]
    return pull_all([interests], [pulls])[0]


def test_the_short_term_interest_follows_within_a_few_events() -> None:
    interests = Interests()
    for _ in range(50):
        interests, (_, apart) = pull(interests, EAST)
    assert apart == pytest.approx(0, abs=1e-3)
    for _ in range(5):
        interests, (_, apart) = pull(interests, NORTH)
    short, long = interests.vectors()
    assert short @ NORTH > short @ EAST
    assert long @ EAST > 3 * (long @ NORTH)
    assert apart > 0.3


def test_a_late_event_pulls_like_one_that_came_in_time() -> None:
    in_time = late = Interests()
    for n in range(40):
        in_time = pull(in_time, NORTH if n == 30 else EAST).interests
        if n != 30:
            late = pull(late, EAST).interests
    late = pull(late, NORTH, later=9).interests
    for one, other in zip(in_time.vectors(), late.vectors(), strict=True):
        assert one @ NORTH == pytest.approx(other @ NORTH, abs=0.02)


def test_users_are_pulled_together_as_each_by_themselves_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    users = [Interests() for _ in range(40)]
    alone = list(users)
    for _ in range(3):
        pulls = []
        for interests in users:
            weights, some = interests.pulls, []
            for vector_D in rng.standard_normal((rng.integers(0, 8), 64), np.float32):
                some.append(Strength(CONFIG).pull(vector_D, 0.7, weights, int(rng.integers(0, 3))))
                weights = some[-1].pulls
            pulls.append(some)
        together = pull_all(users, pulls)
        for user, some in enumerate(pulls):
            divergences = pull_all([alone[user]], [[]])[0].divergences
            for one in some:
                alone[user], (_, apart) = pull_all([alone[user]], [[one]])[0]
                divergences.append(apart)
            assert together[user] == (alone[user], divergences)
        users = [pulled.interests for pulled in together]


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [("view", "click"), ("click", "cart"), ("cart", "purchase")],
)
def test_stronger_acts_pull_more(weaker: Kind, stronger: Kind) -> None:
    def weight(kind: Kind) -> float:
        return CONFIG.weight(
            Event(
                event_id="e",
                user_id="u",
                item_id="i",
                kind=kind,
                ts_ms=0,
                source="t-0-0",
                received_ms=0,
            )
        )

    assert weight(weaker) < weight(stronger)
