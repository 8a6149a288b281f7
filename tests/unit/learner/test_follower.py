"""A student that follows the base online: it answers like it, and is what serving runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from learner.base import save_base
from learner.batch import histories_of
from learner.behaviour import Behaviour
from learner.config import LearnerConfig, ModelConfig
from learner.online import OnlineLearner
from learner.ranker import Ranker
from learner.referee import Referee, for_serving
from learner.scorer import Scorer
from learner.state import load_learner, ranker_of, save_learner
from learner.tower import Residuals
from learner.update_rules import follow
from stream.errors import SettingsError
from stream.events import Example, Step
from stream.metrics import REGISTRY
from tests.unit.learner.toy import CONFIG, START_MS, WIDTH, catalogue, shelf

ITEMS = shelf("a", 12)
NEW = "b0"


def base(folder: Path, width: int, seed: int) -> str:
    """A base that knows the first ten items and says something."""
    model = Behaviour(ModelConfig(width=width, layers=1, heads=2, lora_rank=2), WIDTH, seed)
    with torch.no_grad():
        model.output_DD.copy_(torch.eye(width) * 0.5)
    residuals = Residuals(width)
    residuals.reserve(10)
    residuals.admit(np.arange(10), model.first_residuals(ITEMS[:10]), 1.0)
    save_base(folder, model, residuals, ITEMS[:10], steps=4, encoder="toy")
    return str(folder)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LearnerConfig:
    folder = tmp_path_factory.mktemp("bases")
    model = msgspec.structs.replace(
        CONFIG.model, base=base(folder / "base", 32, 1), student=base(folder / "small", 8, 2)
    )
    return msgspec.structs.replace(CONFIG, model=model)


def walks(examples: int, begin: int = 0) -> list[Example]:
    """After each item comes the next one on the shelf; an item that nobody had takes part."""
    shown = [*ITEMS, NEW]
    return [
        Example(
            event_id=str(n),
            user_id=f"u{n}",
            item_id=shown[(n * 5 + 1) % 13],
            kind="click",
            ts_ms=START_MS + n * 1_000,
            history=(Step(shown[n * 5 % 13], "click", START_MS + n * 1_000 - 500),),
            user_events=1,
            received_ms=0,
            partition=0,
            offset=n,
        )
        for n in range(begin, begin + examples)
    ]


def begun(config: LearnerConfig) -> OnlineLearner:
    return OnlineLearner(catalogue([*ITEMS, NEW]), config)


def answers(ranker: Ranker, examples: list[Example]) -> torch.Tensor:
    """What its transformer says of each item, as probabilities: (B, I)."""
    past = histories_of(ranker.catalog, examples, 8)
    ranker.trained = True
    logits = ranker._behaviour(past)
    assert logits is not None
    return logits.softmax(dim=1)


@torch.no_grad()
def apart(learner: OnlineLearner) -> float:
    """How far the student's answers are from the base's."""
    assert learner.ranker.student is not None
    examples = walks(13, begin=900)
    theirs = answers(learner.ranker, examples)
    ours = answers(learner.ranker.student, examples)
    return float((theirs - ours).abs().sum(dim=1).mean())


def test_the_student_comes_to_answer_as_the_base_does_and_not_as_the_log(
    config: LearnerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {}
    for weight in (0.0, 10.0):
        monkeypatch.setattr(follow, "WEIGHT", weight)
        learner = begun(config)
        learner.learn_many(walks(16))
        follower = learner.trainer.follower
        assert follower is not None
        past = histories_of(learner.catalog, walks(13), 4)
        target = learner.catalog.rows([NEW] * 13)  # what the base does not say
        for n in range(20):
            follower.step(past, target, 3.0, np.random.default_rng(n))
        reached[weight] = apart(learner)
    assert reached[10.0] < 0.5 * reached[0.0]


def test_a_version_is_served_by_its_student(config: LearnerConfig) -> None:
    learner = begun(config)
    learner.learn_many(walks(32))
    student = learner.ranker.student
    assert student is not None
    version = for_serving(save_learner(learner), "published")
    assert not any("adam" in name or "rule" in name for name in version.arrays)
    served = ranker_of(version, learner.catalog, device="cpu")
    assert served.behaviour is not None
    assert served.behaviour.width == 8
    assert served.student is None
    examples = walks(13, begin=900)
    assert torch.equal(answers(served, examples), answers(student, examples))
    untrained = Scorer.untrained(learner.catalog, config)._ranker.behaviour
    assert untrained is not None
    assert untrained.width == 8


def test_items_have_vectors_where_they_have_them_in_the_base(config: LearnerConfig) -> None:
    learner = begun(config)
    learner.learn_many(walks(32))
    student, residuals = learner.ranker.student, learner.ranker.residuals
    assert student is not None
    assert residuals.admitted_I[:13].all()
    assert student.residuals.admitted_I[:13].all()
    residuals.expire(np.array([12]))
    learner.learn_many(walks(1, begin=33))
    assert not student.residuals.admitted_I[12]


def test_resumed_equals_never_stopped(config: LearnerConfig) -> None:
    whole, first, second = begun(config), begun(config), begun(config)
    whole.learn_many(walks(48))
    first.learn_many(walks(32))
    load_learner(second, save_learner(first))
    second.learn_many(walks(16, begin=32))
    arrays, expected = save_learner(second).arrays, save_learner(whole).arrays
    assert arrays.keys() == expected.keys()
    assert any(name.startswith("student/behaviour") for name in arrays)
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)


def test_the_base_learns_the_same_with_a_student_beside_it_or_without(
    config: LearnerConfig,
) -> None:
    model = msgspec.structs.replace(config.model, student="")
    alone = begun(msgspec.structs.replace(config, model=model))
    beside = begun(config)
    for learner in (alone, beside):
        learner.learn_many(walks(12))  # one micro-batch: what is drawn later differs
    assert torch.equal(alone.ranker.residuals.vectors_ID, beside.ranker.residuals.vectors_ID)


def test_a_student_may_come_to_a_shop_that_has_learnt_without_one(config: LearnerConfig) -> None:
    model = msgspec.structs.replace(config.model, student="")
    before = begun(msgspec.structs.replace(config, model=model))
    before.learn_many(walks(32))
    after = begun(config)
    load_learner(after, save_learner(before))
    assert torch.equal(after.ranker.residuals.vectors_ID, before.ranker.residuals.vectors_ID)
    after.learn_many(walks(16, begin=32))
    arrays = save_learner(after).arrays
    assert any(name.startswith("student/residuals") for name in arrays)


def test_a_student_without_a_base_is_refused(config: LearnerConfig) -> None:
    model = msgspec.structs.replace(config.model, base="")
    with pytest.raises(SettingsError, match=r"follows `learner\.model\.base`"):
        begun(msgspec.structs.replace(config, model=model))


def test_a_student_is_ranked_beside_its_base_before_both_learn(config: LearnerConfig) -> None:
    learner = begun(config)
    report = learner.learn_many(walks(200))
    assert report.recent.keys() == {*begun_without(config).recent, "student"}
    assert 0 < report.recent["student"] < 1
    assert report.recent["student"] != report.recent["online"]
    assert 0 < learner.agreement.value < 1
    Referee(learner, sample=4).judge(walks(200), report)
    told = REGISTRY.get_sample_value("tidemill_student_agreement")
    assert told == learner.agreement.value


def test_a_student_that_is_its_base_agrees_with_it(config: LearnerConfig) -> None:
    model = msgspec.structs.replace(config.model, student=config.model.base)
    learner = begun(msgspec.structs.replace(config, model=model))
    report = learner.learn_many(walks(12))  # nothing is learnt before
    assert learner.agreement.value == pytest.approx(1.0)
    assert report.recent["student"] == report.recent["online"]


def test_a_learner_that_gives_its_student_up_goes_on_without_its_figures(
    config: LearnerConfig,
) -> None:
    before, after = begun(config), begun_without(config)
    before.learn_many(walks(32))
    load_learner(after, save_learner(before))
    assert after.recent["online"].value == before.recent["online"].value
    assert "student" not in after.recent


def begun_without(config: LearnerConfig) -> OnlineLearner:
    model = msgspec.structs.replace(config.model, student="")
    return begun(msgspec.structs.replace(config, model=model))
