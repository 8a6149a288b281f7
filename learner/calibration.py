"""What a shown item's score is worth: the probability that it is clicked, learnt online. Pure.

A list's score ranks; it is no probability. Per surface, a logistic regression turns score and place
into one (Platt 1999 [1]_, with a line that bends at knots instead of a straight one, so that it is
right in every part of the scores, and with a bias of its own for each place: who looks at the tenth
place at all?). Score and place add up in it, and needn't in truth: those who search find an item in
any place. So its predictions are calibrated once more, by a bent line over their own logits, which
is beta calibration [2]_ with more than two pieces.

Learning of both is Newton's: curvature is summed up and fades, so that each batch moves the weights
by what it says beside all that was said before, and no step size is to be chosen. Every batch is
predicted before it is learnt; the errors of these predictions are the figures that are told.

A click is known at once, and that there is none half an hour later. Learning each as it comes would
see more clicks than there are whenever shows increase, so clicks wait for what was shown with them.

Legend: `N` shown items, `K` knots, `P` places, `D` weights: one, `K` of the score, `P` of places.

.. [1] Platt, "Probabilistic outputs for support vector machines", 1999.
.. [2] Kull, Silva Filho & Flach, "Beta calibration", AISTATS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KNOTS = 8
PLACES = 20
"""Places with a bias of their own; those behind share the last one's."""

WEIGHTS = 1 + KNOTS + PLACES

RARE = 0.02
"""The probability of a click before anything is known."""

PRIOR = np.concatenate([[0.1], np.full(KNOTS, 0.3), np.full(PLACES, 1.0)])
"""Curvature before anything is known: what it takes to move a weight from where it begins."""

HALF_LIFE = 400_000.0
LEAST_HALF_LIFE = 5_000.0
"""Shown items after which what was learnt counts half: shorter follows sooner, and is less sure. In
the beginning, when a shop's scores move most, it is half of all that was shown."""

REDRAW = (500, 5_000, 50_000)
"""So many shown items after a surface's first one, knots move to where its scores are."""

MOST_CHANGE = 0.5
"""Of any logit, in one step."""

KEPT_SCORES = 1_000
TAIL = 0.05
"""Beyond the knots the lines are level: this share of the scores at either end."""

BINS = 20
MOST_HEADS = 64
"""Surfaces with weights of their own; those that come later use the weights of all."""


def basis(knots_K: Floats, score_N: Floats, place_N: Ints) -> Floats:
    """What the weights weigh, shape (N, D): one, hats around the knots, the place.

    >>> basis(np.linspace(0, 7, 8), np.array([1.25]), np.array([2]))[0, :6].tolist()
    [1.0, 0.0, 0.75, 0.25, 0.0, 0.0]
    """
    out = np.zeros((len(score_N), WEIGHTS))
    out[:, 0] = 1.0
    out[:, 1 : 1 + KNOTS] = hats(knots_K, score_N)
    out[np.arange(len(score_N)), 1 + KNOTS + np.clip(place_N, 1, PLACES) - 1] = 1.0
    return out


def hats(knots_K: Floats, z_N: Floats) -> Floats:
    """How near each value is to the knots around it, shape (N, K): what interpolates in a line."""
    rows, out = np.arange(len(z_N)), np.zeros((len(z_N), len(knots_K)))
    z_N = np.clip(z_N, knots_K[0], knots_K[-1])
    left_N = np.clip(np.searchsorted(knots_K, z_N, "right") - 1, 0, len(knots_K) - 2)
    gap_N = knots_K[left_N + 1] - knots_K[left_N]
    part_N = (z_N - knots_K[left_N]) / np.where(gap_N > 0, gap_N, 1.0)
    out[rows, left_N] = 1 - part_N
    out[rows, left_N + 1] = part_N
    return out


def new_knots(z_N: Floats, count: int) -> Floats:
    """Knots where values are, as many in each part of them."""
    knots_K: Floats = np.quantile(z_N, np.linspace(TAIL, 1 - TAIL, count))
    if np.diff(knots_K).min() <= 0:
        knots_K = np.linspace(z_N.min() - 0.5, z_N.max() + 0.5, count)
    return knots_K


def sigmoid(logit_N: Floats) -> Floats:
    """A logit as a probability."""
    return 1 / (1 + np.exp(-np.clip(logit_N, -30, 30)))


@dataclass
class Head:
    """What is learnt of one surface.

    Attributes
    ----------
    weights_D, curve_DD
        The weights, and how sure they are.
    bent_K, bends_K, bend_curve_KK
        The line over the logits: its values at its knots, and how sure they are.
    shown
        Items learnt.
    scores_N2
        The newest scores and logits, among which knots are drawn.
    told_B3
        Of the newest predictions, by bin of the logarithm: how many, their sum, the clicks.
    """

    weights_D: Floats = field(default_factory=lambda: np.zeros(WEIGHTS))
    knots_K: Floats = field(default_factory=lambda: np.linspace(-4.0, 10.0, KNOTS))
    curve_DD: Floats = field(default_factory=lambda: np.diag(PRIOR))
    bent_K: Floats = field(default_factory=lambda: np.linspace(-8.0, 2.0, KNOTS))
    bends_K: Floats = field(default_factory=lambda: np.linspace(-8.0, 2.0, KNOTS))
    bend_curve_KK: Floats = field(default_factory=lambda: np.diag(np.ones(KNOTS)))
    shown: int = 0
    scores_N2: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    told_B3: Floats = field(default_factory=lambda: np.zeros((BINS, 3)))

    def __post_init__(self) -> None:
        if not self.weights_D.any():
            self.weights_D[0] = np.log(RARE / (1 - RARE))

    def predict(self, score_N: Floats, place_N: Ints) -> Floats:
        """Probability of a click."""
        return self._bent(basis(self.knots_K, score_N, place_N) @ self.weights_D)

    def learn(self, score_N: Floats, place_N: Ints, click_N: Floats) -> Floats:
        """Predict, then learn; returns what was predicted."""
        logit_N = basis(self.knots_K, score_N, place_N) @ self.weights_D
        predicted_N = self._bent(logit_N)
        self._judge(predicted_N, click_N)
        self._draw_knots(score_N, logit_N)
        half_life = min(max(self.shown / 2, LEAST_HALF_LIFE), HALF_LIFE)
        fade = 0.5 ** (len(score_N) / half_life)
        x_ND = basis(self.knots_K, score_N, place_N)
        # The line over the logits first: it is learnt from logits that don't know these clicks.
        z_NK, first_N = hats(self.bends_K, logit_N), x_ND @ self.weights_D
        now_N = self._bent(first_N)
        self.bent_K = _step(self.bent_K, self.bend_curve_KK, fade, z_NK, now_N, click_N)
        self.weights_D = _step(self.weights_D, self.curve_DD, fade, x_ND, sigmoid(first_N), click_N)
        self.shown += len(score_N)
        return predicted_N

    @property
    def error(self) -> float:
        """Expected calibration error of the newest predictions: mean distance, bin by bin."""
        count_B, sum_B, clicks_B = self.told_B3.T
        total = count_B.sum()
        return float(np.abs(sum_B - clicks_B).sum() / total) if total else 0.0

    @property
    def ratio(self) -> float:
        """Predicted clicks by observed ones, of the newest predictions."""
        _, predicted, clicks = self.told_B3.sum(axis=0)
        return float(predicted / clicks) if clicks else 1.0

    def _bent(self, logit_N: Floats) -> Floats:
        return sigmoid(hats(self.bends_K, logit_N) @ self.bent_K)

    def _judge(self, predicted_N: Floats, click_N: Floats) -> None:
        self.told_B3 *= 0.5 ** (len(predicted_N) / (HALF_LIFE / 4))
        at_N = np.clip((np.log10(predicted_N) + 4) * (BINS / 4), 0, BINS - 1).astype(int)
        np.add.at(self.told_B3, at_N, np.stack([np.ones_like(click_N), predicted_N, click_N], 1))

    def _draw_knots(self, score_N: Floats, logit_N: Floats) -> None:
        """Move the knots to where scores and logits are; the lines stay as they are."""
        now_N2 = np.stack([score_N, logit_N], axis=1)
        self.scores_N2 = np.concatenate([self.scores_N2, now_N2])[-KEPT_SCORES:]
        before, after = self.shown, self.shown + len(score_N)
        if not any(before < at <= after for at in REDRAW):
            return
        part = slice(1, 1 + KNOTS)
        knots_K = new_knots(self.scores_N2[:, 0], KNOTS)
        bends_K = new_knots(self.scores_N2[:, 1], KNOTS)
        self.weights_D[part] = np.interp(knots_K, self.knots_K, self.weights_D[part])
        self.bent_K = np.interp(bends_K, self.bends_K, self.bent_K).astype(np.float64)
        self.knots_K, self.bends_K = knots_K, bends_K
        # How sure each knot was belongs to where it stood.
        sure = 0.1 * np.diag(self.curve_DD)[part].mean()
        self.curve_DD[part, :] = 0.0
        self.curve_DD[:, part] = 0.0
        self.curve_DD[part, part] = np.diag(np.full(KNOTS, max(0.3, sure)))
        sure = 0.1 * np.diag(self.bend_curve_KK).mean()
        self.bend_curve_KK = np.diag(np.full(KNOTS, max(1.0, sure)))


def _step(  # noqa: PLR0917 - one step's parts
    weights_D: Floats,
    curve_DD: Floats,
    fade: float,
    x_ND: Floats,
    now_N: Floats,
    click_N: Floats,
) -> Floats:
    """One of Newton's steps; the curvature is summed up in place."""
    curve_DD *= fade
    curve_DD += (x_ND * np.maximum(now_N * (1 - now_N), 1e-4)[:, None]).T @ x_ND
    ridge_DD = np.diag(np.full(len(weights_D), 1e-2))
    step_D = np.linalg.solve(curve_DD + ridge_DD, x_ND.T @ (now_N - click_N))
    # A first batch of many clicks would be believed beyond measure: curvature is small where clicks
    # are thought to be rare.
    change = float(np.abs(x_ND @ step_D).max())
    return np.asarray(weights_D - step_D * min(1.0, MOST_CHANGE / max(change, 1e-9)), np.float64)


class Calibration:
    """The heads of all surfaces; one of all of them together stands in for what is new.

    Examples
    --------
    >>> found = Calibration()
    >>> score, place = np.array([0.0, 4.0] * 500), np.array([1, 1] * 500)
    >>> for _ in range(20):
    ...     _ = found.learn("home", score, place, np.tile([0.0, 1.0], 500))
    >>> low, high = found.predict("home", score[:2], place[:2])
    >>> bool(low < 0.1 < 0.9 < high), "mail" in found.heads
    (True, False)
    """

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.all = Head()

    def predict(self, surface: str, score_N: Floats, place_N: Ints) -> Floats:
        """Probability that each item shown on a surface is clicked."""
        return self.heads.get(surface, self.all).predict(score_N, place_N)

    def learn(self, surface: str, score_N: Floats, place_N: Ints, click_N: NDArray[Any]) -> Floats:
        """Predict, then learn what was shown on a surface; returns what was predicted."""
        click_N = click_N.astype(np.float64)
        head = self.heads.get(surface)
        if head is None and surface and len(self.heads) < MOST_HEADS:  # nameless: that of all
            head = Head(
                self.all.weights_D.copy(),
                self.all.knots_K.copy(),
                bent_K=self.all.bent_K.copy(),
                bends_K=self.all.bends_K.copy(),
            )
            self.heads[surface] = head
        predicted_N = self.all.learn(score_N, place_N, click_N)
        return predicted_N if head is None else head.learn(score_N, place_N, click_N)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that is learnt, as named arrays."""
        named = {"": self.all, **self.heads}
        return {
            f"{surface}/{name}": np.atleast_1d(np.asarray(value))
            for surface, head in named.items()
            for name, value in vars(head).items()
        }

    @classmethod
    def of_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Calibration:
        """What `state` told."""
        found: dict[str, dict[str, Any]] = {}
        for name, array in arrays.items():
            surface, _, field_name = name.rpartition("/")
            found.setdefault(surface, {})[field_name] = array.copy()
        made = cls()
        for surface, fields in found.items():
            head = Head(**{**fields, "shown": int(fields["shown"][0])})
            if surface:
                made.heads[surface] = head
            else:
                made.all = head
        return made
