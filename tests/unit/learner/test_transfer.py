"""From shop to shop, and from release to release: what is taken over, and what stays behind."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from learner.config import LearnerConfig, ModelConfig
from learner.features import F
from learner.online import OnlineLearner
from learner.snapshot import Saved, Snapshots
from learner.stacking import RIDGE
from learner.state import load_learner, save_learner
from stream.errors import SettingsError
from tests.unit.learner.toy import CONFIG, catalogue, habits, shelf

ITEMS = [*shelf("a", 8), *shelf("b", 8)]


def taught() -> OnlineLearner:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    learner.learn_many(habits(64, 8))
    return learner


@pytest.fixture
def version(tmp_path: Path) -> str:
    snapshots = Snapshots(tmp_path / "versions", keep=1)
    snapshots.write(1, save_learner(taught()))
    return str(snapshots.path(1))


def started(version: str, config: LearnerConfig = CONFIG) -> OnlineLearner:
    """The learner of another shop, which sells other things."""
    return OnlineLearner(catalogue(shelf("z", 6)), msgspec.structs.replace(config, start=version))


def test_a_new_shop_has_the_weights_of_the_other_and_nothing_of_the_shop(version: str) -> None:
    other, new = taught().ranker, started(version).ranker
    assert np.array_equal(new.stacking.weights_SF, other.stacking.weights_SF)
    for mine, theirs in zip(
        new.correction.parameters(), other.correction.parameters(), strict=True
    ):
        assert mine.equal(theirs)
    assert new.trained
    new.experts.reserve(6)
    assert not new.experts.taken_I[:6].any()
    assert not new.residuals.admitted_I[:6].any()
    assert not np.any(new.experts.popularity.counts_HI)


def test_it_is_less_sure_of_them_than_who_found_them_out(version: str) -> None:
    other, new = taught().ranker, started(version).ranker
    theirs = other.stacking.curvature_SFF.numpy() - RIDGE * np.eye(F)
    mine = new.stacking.curvature_SFF.numpy() - RIDGE * np.eye(F)
    assert 0 < np.trace(mine[-1]) < 0.5 * np.trace(theirs[-1])


def test_its_first_list_is_another_one(version: str) -> None:
    plain = OnlineLearner(catalogue(ITEMS), CONFIG)
    with_it = OnlineLearner(catalogue(ITEMS), msgspec.structs.replace(CONFIG, start=version))
    examples = habits(32, 8)
    assert not np.array_equal(
        plain.learn_many(examples).rank_N, with_it.learn_many(examples).rank_N
    )


def test_what_cant_be_started_from_is_said_with_what_to_do(version: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"learner\.start.*nowhere.*name the folder"):
        started(str(tmp_path / "nowhere"))
    wider = msgspec.structs.replace(CONFIG, model=ModelConfig(width=32, heads=2, layers=1))
    with pytest.raises(SettingsError, match=r"same `learner\.model`"):
        started(version, wider)


def narrowed(saved: Saved) -> Saved:
    """The checkpoint as a release would have written it that had no feature `praised`."""
    arrays = dict(saved.arrays)
    for name in ("stacking/weights_SF", "correction/first_RFH", "replay/features_NLF"):
        axis = 2 if name.startswith("replay") else 1
        arrays[name] = np.delete(arrays[name], F - 1, axis=axis)
    for name in ("net_adam/mean.first_RFH", "net_adam/square.first_RFH"):
        arrays[name] = np.delete(arrays[name], F - 1, axis=1)
    arrays["stacking/curvature_SFF"] = arrays["stacking/curvature_SFF"][:, : F - 1, : F - 1]
    return Saved(arrays, saved.meta)


def test_a_checkpoint_with_fewer_features_goes_on() -> None:
    saved = save_learner(taught())
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    load_learner(learner, narrowed(saved))
    weights = learner.ranker.stacking.weights_SF
    assert np.array_equal(weights[:, : F - 1], saved.arrays["stacking/weights_SF"][:, : F - 1])
    assert not weights[:, F - 1].any()
    assert learner.learnt == 64
    report = learner.learn_many(habits(96, 8))
    assert (report.learnt, report.repeated) == (32, 64)
