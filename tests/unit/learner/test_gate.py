"""The gate: what is worse is found soon, what is as good passes, one loud user decides nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.gate import PROOF, Decision, Gate, Suspicion, one_of_each_first

BATCH = 32


def worth(mean: float, seed: int, count: int = BATCH) -> NDArray[np.float64]:
    """Gains as rankings have them: mostly nothing, now and then a hit."""
    random = np.random.default_rng(seed)
    return np.where(random.random(count) < 2 * mean, random.random(count), 0.0)


def shown(gate: Gate, batches: int, start: int = 0, **means: float) -> list[Decision]:
    """What the gate decides after each of some micro-batches."""
    decisions = list[Decision]()
    for n in range(start, start + batches):
        names = {name: worth(mean, 7 * n + k) for k, (name, mean) in enumerate(means.items())}
        gate.see(names)
        decisions.append(gate.decide())
    return decisions


def test_a_learner_that_is_as_good_is_always_published() -> None:
    for seed in range(5):
        decisions = shown(Gate(), 300, 1_000 * seed, challenger=0.2, prior=0.2, live=0.2)
        assert set(decisions) <= {"published", "prior"}
        assert decisions.count("published") > 250


def test_a_worse_learner_is_held_within_twenty_micro_batches_and_published_once_it_is_back() -> (
    None
):
    gate = Gate()
    shown(gate, 20, challenger=0.22, prior=0.15, live=0.2)
    assert "held" in shown(gate, 20, 20, challenger=0.1, prior=0.1, live=0.2)
    assert shown(gate, 40, 40, challenger=0.3, prior=0.1, live=0.2)[-1] == "published"


def test_a_correction_that_loses_to_its_prior_is_left_out() -> None:
    decisions = shown(Gate(), 20, challenger=0.1, prior=0.3, popularity=0.05, live=0.1)
    assert decisions[-1] == "prior"


def test_what_is_worse_than_popularity_is_held_unless_the_live_version_is_as_well() -> None:
    decisions = shown(Gate(), 20, challenger=0.1, prior=0.1, popularity=0.3, live=0.12)
    assert decisions[-1] == "published"
    gate = Gate()
    gate.see({"challenger": np.zeros(BATCH), "popularity": np.full(BATCH, 0.5)})
    gate.see({"prior": np.zeros(BATCH), "popularity": np.full(BATCH, 0.5)})
    assert gate.decide() == "held"


def test_a_live_version_that_loses_to_the_good_one_is_rolled_back() -> None:
    decisions = shown(Gate(), 20, challenger=0.2, prior=0.1, live=0.1, good=0.3)
    assert decisions[0] == "published"
    assert decisions[-1] == "rolled-back"


def test_a_better_live_version_becomes_the_good_one() -> None:
    gate = Gate()
    shown(gate, 40, challenger=0.3, prior=0.1, live=0.3, good=0.1)
    assert gate.now_good()
    gate.good_changed()
    assert not gate.now_good()


def test_rubbish_is_quarantined_and_the_learner_restored_when_it_is_over() -> None:
    gate = Gate()
    assert set(shown(gate, 20, challenger=0.2, prior=0.1, live=0.2)) == {"published"}
    during = shown(gate, 20, 20, challenger=0.01, prior=0.01, live=0.01)
    assert during[-1] == "held"
    after = shown(gate, 20, 40, challenger=0.15, prior=0.1, live=0.2)
    assert "restored" in after
    assert "published" not in after[: after.index("restored")]


def test_a_shop_that_has_changed_is_not_taken_for_rubbish() -> None:
    gate = Gate()
    shown(gate, 20, challenger=0.3, prior=0.1, live=0.3)
    assert shown(gate, 10, 20, challenger=0.03, prior=0.03, live=0.03)[-1] == "held"
    assert "published" in shown(gate, 20, 30, challenger=0.25, prior=0.1, live=0.03)
    assert not gate.quarantine


@pytest.mark.parametrize("lead", [0.0, 0.02])
def test_false_proofs_are_rarer_than_one_in_so_many_examples(lead: float) -> None:
    proofs, examples = 0, 0
    random = np.random.default_rng(3)
    for _ in range(300):
        suspicion = Suspicion()
        for _ in range(30):
            suspicion.add(random.normal(lead, 0.3, BATCH).clip(-1, 1))
            examples += BATCH
            if suspicion.proven:
                proofs += 1
                suspicion = Suspicion()
    assert proofs <= examples / PROOF


def test_a_user_who_sends_most_of_a_micro_batch_is_heard_a_few_times() -> None:
    user_N = np.array([0] * 200 + list(range(1, 21)))
    np.random.default_rng(0).shuffle(user_N)
    picked = user_N[one_of_each_first(user_N, 32)]
    assert (picked == 0).sum() == 4  # noqa: PLR2004
    assert set(picked) == set(range(21))


def test_a_gate_goes_on_from_its_state() -> None:
    gate, other = Gate(), Gate()
    shown(gate, 25, challenger=0.1, prior=0.1, live=0.2, good=0.2)
    other.restore(gate.state())
    assert other.state() == gate.state()
    more = {"challenger": 0.05, "prior": 0.05, "live": 0.1, "good": 0.3}
    gate.see({name: np.full(BATCH, mean) for name, mean in more.items()})
    other.see({name: np.full(BATCH, mean) for name, mean in more.items()})
    assert other.decide() == gate.decide()
