"""Rules of updating: what moves, what holds, what is merged, and what comes back when habits do."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
import torch

from learner.batch import Histories, make_histories
from learner.behaviour import Behaviour, Steps
from learner.behaviour_step import BehaviourTrainer
from learner.config import LearnerConfig, UpdateRuleName
from learner.online import OnlineLearner
from learner.state import load_learner, ranker_of, save_learner
from learner.update_rules.adapters import consolidate
from learner.update_rules.choose import RULES, make_rule
from learner.update_rules.pull import softmax_divergence
from tests.unit.learner.toy import CONFIG, WIDTH, catalogue, habits, shelf

ITEMS = [*shelf("a", 6), *shelf("b", 6)]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on two threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(rule: UpdateRuleName, consolidate_every: int = 16) -> LearnerConfig:
    train = msgspec.structs.replace(
        CONFIG.train, update_rule=rule, consolidate_every=consolidate_every
    )
    return msgspec.structs.replace(CONFIG, train=train)


def learner(rule: UpdateRuleName) -> OnlineLearner:
    return OnlineLearner(catalogue(ITEMS), config(rule))


def trainer_of(one: OnlineLearner) -> BehaviourTrainer:
    assert one.trainer.behaviour is not None
    return one.trainer.behaviour


def weights(one: OnlineLearner) -> dict[str, torch.Tensor]:
    model = trainer_of(one).model
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    def kind(name: str) -> str:
        if "lora_" in name:
            return "adapter"
        return "base" if "." in name else "heads"

    return {kind(name) for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("rule", "moves"),
    [
        ("single", {"adapter", "heads"}),
        ("pull", {"adapter", "heads"}),
        ("steady", {"adapter", "heads"}),
        ("distillation", {"adapter", "heads"}),
        ("cumulative", {"adapter", "heads", "base"}),
        ("two-speeds", {"adapter", "heads", "base"}),
        ("full", {"base", "heads"}),
        ("items", set()),
    ],
)
def test_each_rule_moves_what_it_says(rule: UpdateRuleName, moves: set[str]) -> None:
    one = learner(rule)
    with torch.no_grad():  # as a pretrained base has it: without, the items alone learn nothing
        trainer_of(one).model.output_DD.copy_(torch.eye(CONFIG.model.width))
    before = weights(one)
    one.learn_many(habits(80, 6))
    assert moved(before, weights(one)) == moves
    residuals = one.ranker.residuals
    rows = np.flatnonzero(residuals.admitted_I)
    first = trainer_of(one).model.first_residuals([ITEMS[row] for row in rows])
    assert len(rows) and not torch.equal(residuals.vectors_ID[torch.from_numpy(rows)], first)


def test_every_rule_of_the_settings_exists() -> None:
    assert set(RULES) == set(UpdateRuleName.__args__)  # type: ignore[attr-defined]


def test_an_unknown_rule_is_named_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no update rule called 'sum'.*cumulative"):
        make_rule("sum", Behaviour(CONFIG.model, WIDTH, seed=0))


def histories() -> Histories:
    examples = habits(4, 6)
    return make_histories(
        catalogue(ITEMS),
        [e.history for e in examples],
        [e.ts_ms for e in examples],
        [1] * len(examples),
        CONFIG.model.steps,
    )


def said(model: Behaviour) -> torch.Tensor:
    steps = Steps(histories(), CONFIG.model.transformer_steps, torch.device("cpu"))
    steps.item_BT = torch.from_numpy(np.maximum(steps.rows_BT, 0).astype(np.int64))
    text = torch.from_numpy(catalogue(ITEMS).vectors.copy())
    with torch.no_grad():
        return model.users(model.towers(text, torch.zeros(len(ITEMS), model.width)), steps)


def spoken() -> Behaviour:
    model = Behaviour(CONFIG.model, WIDTH, seed=3)
    torch.manual_seed(1)
    for name, parameter in model.learnt().items():
        if "lora_B" in name or name == "output_DD":
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_consolidation_keeps_its_share_of_what_the_adapter_said(share: float) -> None:
    model = spoken()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    apart = said(model)
    with torch.no_grad(), model.body.disable_adapter():
        without = said(model)
    restarted = consolidate(model, share, seed=5)
    assert restarted and all("lora_" in name for name in restarted)
    if share == 1.0:
        torch.testing.assert_close(said(model), apart, rtol=1e-4, atol=1e-5)
    elif share == 0.0:
        torch.testing.assert_close(said(model), without, rtol=1e-4, atol=1e-5)
    else:
        assert (said(model) - apart).abs().max() > 1e-3
        assert (said(model) - without).abs().max() > 1e-3
    adapters = [(n, p) for n, p in model.named_parameters() if "lora_B" in n]
    assert all(not p.any() for _, p in adapters)
    downs = [(n, p) for n, p in model.named_parameters() if "lora_A" in n]
    assert all(p.any() and not torch.equal(p, before[n]) for n, p in downs)


def test_the_pull_is_the_divergence_of_the_papers_formula() -> None:
    now, before = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.5]])
    p, q = now.flatten().softmax(0), before.flatten().softmax(0)
    assert softmax_divergence(now, before).item() == pytest.approx((p * (p / q).log()).sum().item())
    assert softmax_divergence(now, now).item() == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("rule", list(RULES))
def test_resumed_after_blocks_is_bit_equal_to_never_stopped(rule: UpdateRuleName) -> None:
    examples = habits(112, 6)
    whole, first = learner(rule), learner(rule)
    whole.learn_many(examples)
    first.learn_many(examples[:80])
    assert trainer_of(first).block >= 2  # the snapshot lies behind a consolidation, amid a block
    second = learner(rule)
    load_learner(second, save_learner(first))
    second.learn_many(examples[80:])
    arrays, expected = save_learner(second).arrays, save_learner(whole).arrays
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)


@pytest.mark.parametrize("rule", ["cumulative", "two-speeds", "full"])
def test_a_published_version_holds_what_was_merged_into_the_base(rule: UpdateRuleName) -> None:
    one = learner(rule)
    one.learn_many(habits(80, 6))
    ranker = ranker_of(save_learner(one), one.catalog, device="cpu")
    assert ranker.behaviour is not None
    assert torch.equal(said(ranker.behaviour), said(trainer_of(one).model))
