"""The learnt weights find what speaks for an item in a few hundred events, segment by segment."""

from __future__ import annotations

import numpy as np
import torch

from learner.features import AT, PRIOR, F
from learner.stacking import ALL, SEGMENTS, Stacking

CPU = torch.device("cpu")


def taught(
    stacking: Stacking, telling: str, *, session: bool, batches: int, seed: int = 0
) -> float:
    """Teach users who take what is highest in one feature; the share of hits in the last batch."""
    generator = torch.Generator().manual_seed(seed)
    hits = 0.0
    for _ in range(batches):
        features = torch.randn(64, 20, F, generator=generator)
        features[:, :, AT["history"]] = 0.3
        features[:, :, AT["session"]] = float(session)
        target = features[:, :, AT[telling]].argmax(dim=1)
        scores = stacking.scores(features)
        hits = float((scores[0].argmax(dim=1) == target).float().mean())
        stacking.gather(features, scores, torch.ones(64, 20, dtype=torch.bool), target)
        stacking.step()
    return hits


def test_untaught_it_is_the_prior() -> None:
    features = torch.randn(5, 7, F, generator=torch.Generator().manual_seed(1))
    prior = sum(weight * features[:, :, AT[name]] for name, weight in PRIOR.items())
    for scores in Stacking(CPU).scores(features):
        torch.testing.assert_close(scores, prior, rtol=1e-4, atol=1e-5)


def test_a_few_hundred_events_are_enough_to_find_the_telling_feature() -> None:
    stacking = Stacking(CPU)
    assert taught(stacking, "gap", session=True, batches=1) < 0.3
    assert taught(stacking, "gap", session=True, batches=8) > 0.8


def test_segments_learn_apart_and_everyone_counts_for_all() -> None:
    stacking = Stacking(CPU)
    taught(stacking, "own", session=True, batches=6)
    start, returning = SEGMENTS.index("session_start"), SEGMENTS.index("returning")
    at = AT["own"]
    assert stacking.weights_SF[start, at] > 1.0
    assert stacking.weights_SF[returning, at] == 0.0
    assert stacking.weights_SF[ALL, at] > 1.0


def test_it_follows_a_habit_that_changes() -> None:
    stacking = Stacking(CPU)
    taught(stacking, "own", session=True, batches=40)
    assert taught(stacking, "age", session=True, batches=200, seed=1) > 0.9


def test_what_is_not_listed_changes_nothing() -> None:
    features = torch.randn(8, 6, F, generator=torch.Generator().manual_seed(2))
    real = torch.ones(8, 6, dtype=torch.bool)
    real[:, 4:] = False
    target = torch.zeros(8, dtype=torch.long)
    weights = []
    for value in (0.0, 9.0):
        stacking = Stacking(CPU)
        other = features.clone()
        other[:, 4:] = value
        stacking.gather(other, stacking.scores(other), real, target)
        stacking.step()
        weights.append(stacking.weights_SF)
    torch.testing.assert_close(*weights)


def test_a_snapshot_goes_on_bit_by_bit() -> None:
    first, second = Stacking(CPU), Stacking(CPU)
    taught(first, "own", session=False, batches=3)
    second.restore({name: np.array(array) for name, array in first.state().items()})
    assert taught(first, "own", session=False, batches=2, seed=9) == taught(
        second, "own", session=False, batches=2, seed=9
    )
    assert torch.equal(first.weights_SF, second.weights_SF)
