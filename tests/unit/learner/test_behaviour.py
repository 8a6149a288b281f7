"""The transformer and its adapters: silent at first, on a frozen base, the same when merged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learner.batch import Histories, make_histories
from learner.behaviour import Behaviour, Steps, make_base
from tests.unit.learner.toy import CONFIG, WIDTH, catalogue, example, shelf

MODEL = CONFIG.model
CPU = torch.device("cpu")


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour(MODEL, WIDTH, seed=3)


def histories(*pasts: list[str]) -> Histories:
    catalog = catalogue(shelf("a", 6))
    examples = [example(n, "a0", past) for n, past in enumerate(pasts)]
    return make_histories(
        catalog, [e.history for e in examples], [e.ts_ms for e in examples], [0] * len(pasts), 8
    )


def users(behaviour: Behaviour, past: Histories) -> torch.Tensor:
    steps = Steps(past, MODEL.transformer_steps, CPU)
    text = torch.from_numpy(catalogue(shelf("a", 6)).vectors.copy())
    steps.item_BT = torch.from_numpy(np.maximum(steps.rows_BT, 0).astype(np.int64))
    return behaviour.users(behaviour.towers(text, torch.zeros(6, behaviour.width)), steps)


def let_it_speak(behaviour: Behaviour) -> None:
    """Stand in for learning: an output head and adapters that are no longer zero."""
    torch.manual_seed(1)
    for name, parameter in behaviour.learnt().items():
        if "lora_B" in name or name == "output_DD":
            torch.nn.init.normal_(parameter, std=0.3)


def test_an_untrained_transformer_says_nothing(behaviour: Behaviour) -> None:
    assert users(behaviour, histories(["a1", "a2"], [])).abs().max() == 0


def test_fresh_adapters_equal_their_base(behaviour: Behaviour) -> None:
    tokens = torch.randn(2, 3, behaviour.width)
    base = make_base(MODEL, seed=3)
    with torch.no_grad():
        adapted = behaviour.body(inputs_embeds=tokens).last_hidden_state
        assert torch.equal(adapted, base(inputs_embeds=tokens).last_hidden_state)


def test_merged_adapters_equal_unmerged_ones(behaviour: Behaviour) -> None:
    let_it_speak(behaviour)
    past = histories(["a1", "a2", "a3"], ["a4"])
    with torch.no_grad():
        apart = users(behaviour, past)
        behaviour.body.merge_adapter()
        merged = users(behaviour, past)
    assert apart.abs().max() > 0.1
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)


def test_only_adapters_and_heads_learn(behaviour: Behaviour) -> None:
    let_it_speak(behaviour)
    torch.autograd.backward(users(behaviour, histories(["a1", "a2"])).sum())
    frozen = [p for p in behaviour.parameters() if not p.requires_grad]
    assert frozen
    assert all(parameter.grad is None for parameter in frozen)
    assert all("lora" in name or "." not in name for name in behaviour.learnt())


def test_padding_beside_a_longer_history_changes_nothing(behaviour: Behaviour) -> None:
    let_it_speak(behaviour)
    with torch.no_grad():
        alone = users(behaviour, histories(["a1"]))[0]
        beside = users(behaviour, histories(["a1"], ["a2", "a3", "a4", "a5"]))[0]
    torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-6)


def test_order_and_time_matter(behaviour: Behaviour) -> None:
    let_it_speak(behaviour)
    one, other = histories(["a1", "a2"]), histories(["a2", "a1"])
    later = histories(["a1", "a2"])
    later.now_B[:] += 86_400_000
    with torch.no_grad():
        first = users(behaviour, one)
        assert (first - users(behaviour, other)).abs().max() > 1e-3
        assert (first - users(behaviour, later)).abs().max() > 1e-3


def test_new_items_without_text_are_told_apart_by_their_ids(behaviour: Behaviour) -> None:
    first = behaviour.first_residuals(["a", "b", "a"])
    assert torch.equal(first[0], first[2])
    assert (first[0] - first[1]).norm() > 0.1
