"""One model of experts, transformer and correction: what the learner teaches and serving asks.

Legend: `B` users, `K` candidates, `F` features, `A` arms, `I` catalogue rows, `C` tops, `D` width.

    score = sum over arms of weight * arm(features)

where arms are nets on top of learnt linear weights, these weights alone, and the prior, which is
log-popularity + log-transition + text similarity; the transformer's score is one of the features.
All arms start at the prior, so that an untrained ranker is its prior.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from features.catalog import Catalog
from learner.batch import Histories
from learner.behaviour import Behaviour, Steps
from learner.candidates import gather_candidates
from learner.config import LearnerConfig
from learner.correction import Correction, Weighing
from learner.device import pick_device
from learner.experts import Experts
from learner.features import Words, describe, with_behaviour
from learner.likeness import POOLED, alike, picked, pooled
from learner.meta.newcomers import Newcomers
from learner.meta.trained import read_meta
from learner.retrieval import tops
from learner.stacking import Stacking
from learner.tower import ItemTower, Residuals
from stream.errors import SettingsError

PRETRAINED_WEIGHT = 2.0
"""What a pretrained transformer's score counts for before any weight has been learnt: half of the
log-odds that it stands for, as counted pairs will come to say the other half."""

UNCORRECTED = ("own segment", "all users", "prior")
"""The arms behind the nets: the learnt weights of the user's segment, those of all, the prior."""

CHUNK = 64
"""Users scored at once: more would not fit the cache, fewer would pay Python's price."""


def served(config: LearnerConfig) -> LearnerConfig:
    """What serving runs: the student in the base's place, where there is one.

    >>> from learner.config import ModelConfig
    >>> config = LearnerConfig(model=ModelConfig(base="bases/shop", student="bases/small"))
    >>> served(config).model.base
    'bases/small'

    Raises
    ------
    SettingsError
        If there is a student without a base that it follows.
    """
    model = config.model
    if not model.student:
        return config
    if not (model.base and model.transformer):
        message = "`learner.model.student` follows `learner.model.base`: set that as well"
        raise SettingsError(message)
    return replace(config, model=replace(model, base=model.student, student=""))


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates of `B` users and all that was computed of them; padding has row -1."""

    rows_BK: NDArray[np.int32]
    real_BK: NDArray[np.bool_]
    features_BKF: NDArray[np.float32]
    prior_BK: NDArray[np.float32]
    arms_ABK: NDArray[np.float32]
    score_BK: NDArray[np.float32]
    target_B: NDArray[np.int64]


class Ranker:
    """Scores candidates for users; changes only when someone teaches it.

    `trained` says whether anything but counts was learnt yet; `blend` is 0 in a version whose
    correction lost to its own prior: it is then switched off. `student` is the small transformer
    that follows this one, with the vectors of its items; counts are the same.
    """

    def __init__(self, catalog: Catalog, config: LearnerConfig) -> None:
        self.catalog = catalog
        self.config = config
        self.device = pick_device(config.device)
        self.experts = Experts(config.model)
        self.stacking = Stacking(self.device)
        self.correction = Correction(config.train.rates, config.seed, config.model.without).to(
            self.device
        )
        self.weighing = Weighing(len(config.train.rates) + len(UNCORRECTED))
        self.behaviour: Behaviour | None = None
        if config.model.transformer:
            self.behaviour = Behaviour(config.model, catalog.width, config.seed).to(self.device)
        self.residuals = Residuals(self.behaviour.width if self.behaviour else 1)
        self.tower = ItemTower(catalog, self.device)
        self.trained = self.behaviour is not None and self.behaviour.pretrained
        if self.trained:
            self.stacking.begin_with("behaviour", PRETRAINED_WEIGHT)
        self.blend = 1.0
        self.newcomers: Newcomers | None = None
        if config.meta.few:
            self.newcomers = Newcomers(config.meta, read_meta(config.model.base))
        self.student: Ranker | None = None
        if config.model.student:
            self.student = Ranker(catalog, served(config))
            self.student.experts, self.student.newcomers = self.experts, self.newcomers

    def autocast(self) -> Any:
        """On CUDA the transformer runs in bfloat16."""
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    def allowed_I(self) -> NDArray[np.bool_]:
        """Which rows may be recommended at all."""
        return self.catalog.available

    def score_many(
        self,
        past: Histories,
        allowed_I: NDArray[np.bool_] | None = None,
        target_B: NDArray[np.int32] | None = None,
    ) -> Iterator[tuple[slice, Scored]]:
        """Score users chunk by chunk.

        With targets given, each is listed too, so that it can be learnt; `real_BK` says whether it
        would have been listed without.
        """
        items = len(self.catalog)
        self.experts.reserve(items)
        allowed_I = self.allowed_I() if allowed_I is None else allowed_I
        for start in range(0, len(past), CHUNK):
            part = slice(start, min(start + CHUNK, len(past)))
            target = None if target_B is None else target_B[part]
            yield part, self._score(past.take(part), allowed_I, target, items)

    @torch.no_grad()
    def _score(
        self,
        past: Histories,
        allowed_I: NDArray[np.bool_],
        target_B: NDArray[np.int32] | None,
        items: int,
    ) -> Scored:
        listing = self.config.model.candidates
        text_IE, has_text = self.tower.text_IE(), self.tower.has_text
        pooled_BWE = None
        if has_text:
            pooled_BWE = torch.from_numpy(pooled(self.catalog.vectors, past)).to(self.device)
        behaviour_BI = self._behaviour(past)
        named = []
        if np.count_nonzero(allowed_I) > listing.all_items_below:
            shut_N = torch.from_numpy(np.flatnonzero(~allowed_I)).to(self.device)
            if pooled_BWE is not None and listing.semantic:
                near_BC = self.tower.nearest(pooled_BWE[:, 0], listing.semantic, shut_N)
                named.append(near_BC.int().cpu().numpy())
                if pooled_BWE.shape[1] == POOLED:
                    praise_BE = pooled_BWE[:, -1]
                    liked_BC = self.tower.nearest(praise_BE, listing.semantic // 2, shut_N)
                    liked_BC[~praise_BE.any(dim=1)] = -1
                    named.append(liked_BC.int().cpu().numpy())
            if behaviour_BI is not None and listing.behaviour:
                named.append(tops(behaviour_BI, listing.behaviour, shut_N).int().cpu().numpy())
            if self.newcomers is not None:
                named.append(self.newcomers.tops(past, allowed_I))
        rows_BK = gather_candidates(self.experts, past, allowed_I, listing, named)
        if not self.experts.offers_again:
            had_BK = _had(past, rows_BK) | _seen(past, rows_BK, self.catalog.codes)
            rows_BK = np.where(had_BK, -1, rows_BK)
        real_BK = rows_BK >= 0
        place_B = np.zeros(len(past), np.int64)
        if target_B is not None:
            rows_BK, real_BK, place_B = _with_targets(rows_BK, real_BK, target_B)
        described = describe(
            self.experts,
            past,
            rows_BK,
            real_BK=real_BK,
            words=Words(*alike(pooled_BWE, text_IE, rows_BK), picked(behaviour_BI, rows_BK)),
            items=items,
        )
        prior_BK = described.prior_BK
        arms_ABK, score_BK = self._arms(past, rows_BK, described.features_BKF, prior_BK)
        return Scored(
            rows_BK,
            real_BK,
            described.features_BKF,
            prior_BK,
            arms_ABK,
            score_BK,
            place_B,
        )

    def _arms(
        self,
        past: Histories,
        rows_BK: NDArray[np.int32],
        features_BKF: NDArray[np.float32],
        prior_BK: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What each arm says of candidates, (A, B, K), and their scores, (B, K)."""
        arms_ABK = np.broadcast_to(prior_BK, (len(self.weighing.losses), *prior_BK.shape))
        if not self.trained:
            return arms_ABK, prior_BK
        features = torch.from_numpy(features_BKF).to(self.device)
        prior = torch.from_numpy(prior_BK).to(self.device)
        stacked_2BK = self.stacking.scores(features)
        nets_RBK = self.correction(features, stacked_2BK[0])
        arms_ABK = torch.cat([nets_RBK, stacked_2BK, prior[None]]).cpu().numpy()
        if not self.blend:
            return arms_ABK, prior_BK
        weight_A = self.weighing.weights.astype(np.float32)
        score_BK = np.einsum("a,abk->bk", weight_A, arms_ABK)
        if self.newcomers is not None:
            score_BK = self.newcomers.rescore(past, rows_BK, score_BK, self.catalog.vectors)
        return arms_ABK, score_BK

    @torch.no_grad()
    def student_scores(self, past: Histories, scored: Scored) -> NDArray[np.float32]:
        """The scores of the same candidates by the student's transformer in place of this one's."""
        assert self.student is not None
        said_BK = picked(self.student._behaviour(past), scored.rows_BK)  # noqa: SLF001 - of its kind
        features_BKF = with_behaviour(scored.features_BKF, said_BK, scored.real_BK)
        return self._arms(past, scored.rows_BK, features_BKF, scored.prior_BK)[1]

    def gather_newcomers(
        self, past: Histories, scored: Scored, teaches_B: NDArray[np.bool_]
    ) -> None:
        """Add ranked newcomers to the next step of their layer, if there is one."""
        if self.newcomers is not None:
            weight_A = self.weighing.weights.astype(np.float32)
            self.newcomers.gather(
                past,
                scored.rows_BK,
                np.einsum("a,abk->bk", weight_A, scored.arms_ABK),
                self.catalog.vectors,
                real_BK=scored.real_BK,
                target_B=scored.target_B,
                teaches_B=teaches_B,
            )

    @torch.no_grad()
    def gather(self, scored: Scored, graded_N: NDArray[np.int64]) -> None:
        """Add ranked examples, by their place in `scored`, to the next step of the weights."""
        if not len(graded_N) or not self.config.model.weights:
            return

        def put(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array[graded_N]).to(self.device)

        features_BKF = put(scored.features_BKF)
        scores_2BK = self.stacking.scores(features_BKF)
        self.stacking.gather(features_BKF, scores_2BK, put(scored.real_BK), put(scored.target_B))

    def _behaviour(self, past: Histories) -> Tensor | None:
        model = self.behaviour
        if model is None or not self.trained:
            return None
        towers_ID = self.tower.towers_ID(model, self.residuals)
        steps = Steps(past, self.config.model.transformer_steps, self.device)
        steps.item_BT = torch.from_numpy(np.maximum(steps.rows_BT, 0).astype(np.int64)).to(
            self.device
        )
        with self.autocast():
            users_BD = model.users(towers_ID, steps)
        return self.tower.products(users_BD.float())


def _had(past: Histories, rows_BK: NDArray[np.int32]) -> NDArray[np.bool_]:
    had_BK = np.zeros(rows_BK.shape, np.bool_)
    for t in range(past.rows_BT.shape[1]):
        had_BK |= past.rows_BT[:, t : t + 1] == rows_BK
    return had_BK


def _seen(
    past: Histories, rows_BK: NDArray[np.int32], code_I: NDArray[np.uint32]
) -> NDArray[np.bool_]:
    seen_BK = np.zeros(rows_BK.shape, np.bool_)
    for b, codes in enumerate(past.seen_B):
        if codes:
            seen_BK[b] = np.isin(code_I[rows_BK[b]], np.frombuffer(codes, "<u4"))
    return seen_BK & (rows_BK >= 0)


def _with_targets(
    rows_BK: NDArray[np.int32], real_BK: NDArray[np.bool_], target_B: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int64]]:
    is_target_BK = rows_BK == target_B[:, None]
    missing_B = ~is_target_BK.any(axis=1)
    place_B = np.where(missing_B, rows_BK.shape[1], is_target_BK.argmax(axis=1))
    added_B1 = np.where(missing_B, target_B, -1)[:, None].astype(np.int32)
    rows_BK = np.concatenate([rows_BK, added_B1], axis=1)
    real_BK = np.concatenate([real_BK, np.zeros((len(real_BK), 1), np.bool_)], axis=1)
    return rows_BK, real_BK, place_B
