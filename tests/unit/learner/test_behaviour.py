"""The transformer and its adapters: silent at first, on a frozen base, the same when merged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learner.batch import Histories, make_histories
from learner.behaviour import PLACES, Behaviour, Steps, codes, lay, make_base
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


def said(past: Histories, place: str) -> list[list[int]]:
    """One of the things that steps say, as a row of its own table."""
    laid = lay(past, 8)
    told = codes(laid.kinds_BT, laid.ts_BT, laid.following_BT, laid.ratings_BT)
    at = PLACES.index(place)
    behaviour = Behaviour(MODEL, WIDTH, seed=3)
    before = sum(len(getattr(behaviour, name)) for name in PLACES[:at])
    found: list[list[int]] = (told[:, :, at] - before).tolist()
    return found


def test_steps_say_hour_and_weekday_of_what_follows_them() -> None:
    past = histories(["a1", "a2"])
    sunday_half_past_23 = 1_700_436_600_000
    past.ts_BT[0, -2:] = [sunday_half_past_23 - 60_000, sunday_half_past_23]
    past.now_B[0] = sunday_half_past_23 + 3_600_000
    assert said(past, "hours") == [[23, 0]]
    assert said(past, "weekdays") == [[6, 0]]


def test_a_session_begins_after_half_an_hour_and_at_the_first_step() -> None:
    past = histories(["a1", "a2", "a3"])
    past.ts_BT[0, -3:] = [0, 1_800_000, 1_800_000 + 1_799_999]
    assert said(past, "sessions") == [[1, 1, 0]]


def test_hour_weekday_and_session_change_nothing_before_they_are_learnt() -> None:
    behaviour = Behaviour(MODEL, WIDTH, seed=3)
    let_it_speak(behaviour)
    one, other = histories(["a1", "a2"]), histories(["a1", "a2"])
    other.ts_BT[:] += 3 * 86_400_000 + 5 * 3_600_000
    other.now_B[:] += 3 * 86_400_000 + 5 * 3_600_000
    with torch.no_grad():
        assert torch.equal(users(behaviour, one), users(behaviour, other))
        behaviour.hours[3] += 1.0
        behaviour.weekdays[2] += 1.0
        assert not torch.equal(users(behaviour, one), users(behaviour, other))
