"""Views of histories: cropped, with items left out, or out of order, and still of the same user.

Legend: `B` windows, `N` views (two of each window, all first ones first), `T` steps, `D` width.

CL4SRec (Xie et al., ICDE 2022): two views of one history have to be more alike than views of two
users' histories. Shares are those that were published; alike is the cosine.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, pad

from learner.pretraining_student import Student, cut
from learner.sequences import Sequences, Windows

CROP, MASK, REORDER = 0.6, 0.3, 0.6
"""How much of a history a crop keeps, a mask leaves out, and a reordered stretch covers."""

SHARPNESS = 5.0
"""What cosines are multiplied with: they would else be too alike to tell users apart."""


def two_views(
    student: Student,
    sequences: Sequences,
    windows: Windows,
    dropout: float,
    generator: np.random.Generator,
) -> Tensor:
    """The user at the end of each view, (N, D): each view is made in one of the three ways."""
    twice = np.tile(np.arange(len(windows)), 2)
    way_N = generator.integers(0, 3, len(twice))
    views = cropped(windows.take(twice), way_N == 0, generator)
    read = cut(sequences, views, student.device)
    length_N = read.real_BT.sum(axis=1)
    place_NT = reordered(length_N, read.real_BT.shape[1], way_N == 2, generator)  # noqa: PLR2004
    read.steps.rows_BT = np.take_along_axis(read.steps.rows_BT, place_NT, 1)
    rows_U = np.unique(np.maximum(read.steps.rows_BT, 0))
    read.steps.index(rows_U.astype(np.int32), student.device)
    left_out_NT = generator.random(place_NT.shape) < MASK
    left_out_NT &= (way_N == 1)[:, None]
    # One row behind all others is zero: an item that is left out says nothing.
    read.steps.item_BT[torch.from_numpy(left_out_NT).to(student.device)] = len(rows_U)
    items_UD = pad(student.towers(rows_U.astype(np.int64)), (0, 0, 0, 1))
    return student.users(items_UD, read, dropout)[np.arange(len(twice)), length_N - 1]


def cropped(
    windows: Windows, which_N: NDArray[np.bool_], generator: np.random.Generator
) -> Windows:
    """Stretches of these windows, where they are to be cropped.

    >>> whole = Windows(np.array([10, 20]), np.array([16, 26]))
    >>> part = cropped(whole, np.array([True, False]), np.random.default_rng(0))
    >>> (part.end_W - part.begin_W - 1).tolist(), int(part.begin_W[0]) >= 10
    ([3, 5], True)
    """
    length_N = windows.end_W - windows.begin_W - 1
    kept_N = np.where(which_N, np.maximum(1, (length_N * CROP).astype(np.int64)), length_N)
    begin_N = windows.begin_W + generator.integers(0, length_N - kept_N + 1)
    return Windows(begin_N, begin_N + kept_N + 1)


def reordered(
    length_N: NDArray[np.int64],
    steps: int,
    which_N: NDArray[np.bool_],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Which step is read at each place: those of one stretch are shuffled, (N, T).

    >>> place = reordered(np.array([4, 3]), 4, np.array([False, True]), np.random.default_rng(0))
    >>> place[0].tolist(), sorted(place[1].tolist()), int(place[1, 3])
    ([0, 1, 2, 3], [0, 1, 2, 3], 3)
    """
    covered_N = (length_N * REORDER).astype(np.int64)
    begin_N = generator.integers(0, length_N - covered_N + 1)[:, None]
    step_T = np.arange(steps)
    inside_NT = (step_T >= begin_N) & (step_T < begin_N + covered_N[:, None]) & which_N[:, None]
    key_NT = np.where(inside_NT, begin_N + generator.random(inside_NT.shape), step_T)
    return np.argsort(key_NT, axis=1, kind="stable")


def likeness_loss(users_ND: Tensor) -> Tensor:
    """Cross-entropy of finding each view's other half among all views."""
    unit_ND = normalize(users_ND, dim=1)
    alike_NN = SHARPNESS * unit_ND @ unit_ND.T
    alike_NN = alike_NN - torch.diag(torch.full((len(unit_ND),), 1e9, device=unit_ND.device))
    other_N = torch.arange(len(unit_ND), device=unit_ND.device).roll(len(unit_ND) // 2)
    return cross_entropy(alike_NN, other_N)
