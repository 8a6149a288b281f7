"""The correction starts as nothing, learns as the formulas say, and steps aside when worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.correction import Correction, Weighing, listwise_loss
from learner.features import AT, F
from learner.optim import Adam


@given(seed=st.integers(0, 99))
def test_untaught_every_net_is_its_base_to_the_bit(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 5, F, generator=generator)
    base = torch.randn(3, 5, generator=generator)
    with torch.no_grad():
        nets = Correction(rates=(1e-3, 1e-2), seed=seed)(features, base)
    assert nets.shape == (2, 3, 5)
    assert all(torch.equal(net, base) for net in nets)


def test_each_net_learns_at_its_own_rate() -> None:
    nets = Correction(rates=(1e-4, 0.5), seed=0)
    adam = Adam(dict(nets.named_parameters()), nets.rates)
    features, base = torch.randn(8, 4, F), torch.randn(8, 4)
    for _ in range(5):
        arms = nets(features, base)
        loss = listwise_loss(arms, torch.ones(8, 4, dtype=torch.bool), torch.zeros(8).long())
        torch.autograd.backward(loss.sum())
        adam.step()
    with torch.no_grad():
        slow, fast = nets(features, base)
    assert (slow - base).abs().max() < 0.1 < (fast - base).abs().max()


def test_a_net_does_not_see_what_it_does_without() -> None:
    features, base = torch.randn(8, 4, F), torch.randn(8, 4)
    other = features.clone()
    other[:, :, AT["gap"]] += 5.0
    nets = Correction(rates=(0.1,), seed=0, without=("gap",))
    nets.second_RH.data += 0.1
    with torch.no_grad():
        torch.testing.assert_close(nets(features, base), nets(other, base))
    with pytest.raises(ValueError, match=r"learner.model.without: no feature 'gaps'"):
        Correction(rates=(0.1,), seed=0, without=("gaps",))


def test_the_listwise_loss_is_cross_entropy_over_what_is_really_listed() -> None:
    score = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    real = torch.ones(6, 4, dtype=torch.bool)
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    wanted = torch.nn.functional.cross_entropy(score, target, reduction="none")
    torch.testing.assert_close(listwise_loss(score, real, target), wanted)
    real[:, 2:] = False
    wanted = torch.nn.functional.cross_entropy(score[:, :2], target % 2, reduction="none")
    torch.testing.assert_close(listwise_loss(score, real, target % 2), wanted)


@pytest.mark.parametrize("worse", [0, 1])
def test_weight_goes_to_the_better_arm_and_comes_back(worse: int) -> None:
    weighing = Weighing(arms=2)
    losses = np.full((2, 300), 0.2)
    losses[worse] = 0.4
    weighing.update(losses)
    assert weighing.weights[worse] < 1e-6
    for _ in range(12):
        weighing.update(losses[::-1])
    assert weighing.weights[worse] > 1 - 1e-6
    assert weighing.weights.sum() == pytest.approx(1.0)


def test_adam_is_the_papers_algorithm() -> None:
    start = np.random.default_rng(1).normal(size=(5, 3))
    weight = torch.tensor(start, requires_grad=True)
    adam = Adam({"weight": weight}, {"weight": 0.03})
    wanted, mean, square = start.copy(), np.zeros((5, 3)), np.zeros((5, 3))
    for n in range(1, 21):
        torch.autograd.backward(((weight - n / 10.0) ** 3).sum())
        adam.step()
        gradient = 3 * (wanted - n / 10.0) ** 2
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        step = (mean / (1 - 0.9**n)) / (np.sqrt(square / (1 - 0.99**n)) + 1e-8)
        wanted -= 0.03 * step
    np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_adam_goes_on_from_its_state_to_the_bit() -> None:
    def steps(adam: Adam, weight: torch.Tensor, count: int) -> None:
        for _ in range(count):
            torch.autograd.backward((weight**2).sum())
            adam.step()

    straight = torch.ones(3, requires_grad=True)
    adam = Adam({"w": straight}, {"w": 0.1})
    steps(adam, straight, 3)
    resumed = straight.detach().clone().requires_grad_()
    kept = {name: value.clone() for name, value in adam.state().items()}
    steps(adam, straight, 4)
    later = Adam({"w": resumed}, {"w": 0.1})
    later.restore(kept)
    steps(later, resumed, 4)
    assert torch.equal(straight, resumed)
