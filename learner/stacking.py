"""Stacking: one weight per feature and segment, learnt by an online Newton step.

Legend: `S` segments, `B` users, `K` candidates, `F` features.

The score of a candidate is a weighted sum of its features; the weights maximise the likelihood of
what was taken among what was listed (a conditional logit). The loss is convex and has few
parameters, so that a second-order method finds in hundreds of events what gradient steps find in
tens of thousands: weights move by the gradient through the inverse of the curvature seen so far
(online Newton step, Hazan, Agarwal & Kale 2007: regret grows with the logarithm of the events).
The curvature fades, so that weights go on moving, and starts as a ridge that pulls nowhere but
bounds the first steps. Weights start at the prior's.

One more segment than there are is shared by all users: it is right sooner, the others are right in
the end, and who is shown is decided by the weighing of arms (`learner.correction`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.features import AT, PRIOR, F

SEGMENTS = ("new", "returning", "session_start", "session", "all")
"""No past; a gap since the last visit; the first events of a visit, more of them; everyone."""

ALL = len(SEGMENTS) - 1

SHORT = float(np.log1p(2.5) / 3.0)
"""The feature `history` of a user with two steps is below, with three above."""

RIDGE = 1.0
"""Curvature at the start, in events that say all about one feature: less is unstable at first."""

MEMORY = 20_000.0
"""Events after which curvature has faded: fewer follow drift faster, and noise as well."""

NEAR = 20.0
"""A target with so many candidates above it weighs half: a list shows ten, and what is far below
says little about its top."""


class Stacking:
    """Weights per segment, their curvature, and the sums of the micro-batch in the making."""

    def __init__(self, device: torch.device) -> None:
        S = len(SEGMENTS)
        start_F = torch.zeros(F, device=device)
        for name, weight in PRIOR.items():
            start_F[AT[name]] = weight
        self.weights_SF = start_F.expand(S, -1).clone()
        self.curvature_SFF = (RIDGE * torch.eye(F, device=device)).expand(S, -1, -1).clone()
        self._ridge_FF = RIDGE * torch.eye(F, device=device)
        self._clear()

    def _clear(self) -> None:
        self._slope_SF = torch.zeros_like(self.weights_SF)
        self._bend_SFF = torch.zeros_like(self.curvature_SFF)
        self._seen_S = np.zeros(len(SEGMENTS))

    def begin_with(self, feature: str, weight: float) -> None:
        """Count a feature from the start, in every segment."""
        self.weights_SF[:, AT[feature]] = weight

    def scores(self, features_BKF: Tensor) -> Tensor:
        """Scores by the user's own segment, and by the weights of all: (2, B, K)."""
        segment_B = segments(features_BKF)
        own_BK = torch.matmul(features_BKF, self.weights_SF[segment_B][:, :, None])[:, :, 0]
        return torch.stack([own_BK, features_BKF @ self.weights_SF[ALL]])

    def gather(
        self, features_BKF: Tensor, scores_2BK: Tensor, real_BK: Tensor, target_B: Tensor
    ) -> None:
        """Add ranked examples, each of whose targets is a real candidate, to the next step."""
        segment_B = segments(features_BKF)
        for s in range(len(SEGMENTS)):
            chosen_N = torch.arange(len(target_B)) if s == ALL else (segment_B == s).nonzero()[:, 0]
            if not len(chosen_N):
                continue
            x_NKF, target_N = features_BKF[chosen_N], target_B[chosen_N]
            score_NK = scores_2BK[int(s == ALL)][chosen_N].masked_fill(
                ~real_BK[chosen_N], -torch.inf
            )
            line_N = torch.arange(len(chosen_N), device=score_NK.device)
            share_NK = score_NK.softmax(dim=1)
            own_N1 = score_NK[line_N, target_N][:, None]
            weight_N = 1.0 / ((score_NK > own_N1).sum(dim=1) / NEAR + 1.0)
            mean_NF = torch.matmul(share_NK[:, None], x_NKF)[:, 0]
            self._slope_SF[s] += weight_N @ (x_NKF[line_N, target_N] - mean_NF)
            spread = (x_NKF * (share_NK * weight_N[:, None]).sqrt()[:, :, None]).reshape(-1, F)
            self._bend_SFF[s] += spread.T @ spread - (mean_NF * weight_N[:, None]).T @ mean_NF
            self._seen_S[s] += len(chosen_N)

    def share(self, add: Callable[[Tensor], None]) -> None:
        """Have what was gathered added up with what others have, in place."""
        for sums in (self._slope_SF, self._bend_SFF, torch.from_numpy(self._seen_S)):
            add(sums)

    def step(self, factor: float = 1.0) -> None:
        """Move the weights by what was gathered; `factor` shortens the memory after a drift."""
        for s in np.flatnonzero(self._seen_S):
            fade = float(np.exp(-factor * self._seen_S[s] / MEMORY))
            kept_FF = (self.curvature_SFF[s] - self._ridge_FF) * fade
            self.curvature_SFF[s] = self._ridge_FF + kept_FF + self._bend_SFF[s]
            self.weights_SF[s] += torch.linalg.solve(self.curvature_SFF[s], self._slope_SF[s])
        self._clear()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps."""
        return {
            "weights_SF": self.weights_SF.cpu().numpy(),
            "curvature_SFF": self.curvature_SFF.cpu().numpy(),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a snapshot."""
        device = self.weights_SF.device
        self.weights_SF = torch.from_numpy(np.array(state["weights_SF"])).to(device)
        self.curvature_SFF = torch.from_numpy(np.array(state["curvature_SFF"])).to(device)


def segments(features_BKF: Tensor) -> Tensor:
    """Each user's segment, read from the features that all candidates of a user share.

    >>> x = torch.zeros(3, 1, F)
    >>> x[1:, 0, AT["history"]] = 0.3
    >>> x[2, 0, AT["session"]] = 1.0
    >>> [SEGMENTS[s] for s in segments(x)]
    ['new', 'returning', 'session_start']
    """
    history_B = features_BKF[:, 0, AT["history"]]
    in_session_B = features_BKF[:, 0, AT["session"]].bool()
    within_B = torch.where(history_B < SHORT, 2, 3)
    return torch.where(history_B == 0, 0, torch.where(in_session_B, within_B, 1))
