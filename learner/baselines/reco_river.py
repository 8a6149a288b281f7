"""River's recommender as a ranker: `river.reco.BiasedMF`, event by event.

BiasedMF regresses ratings. Here each event is a 1, and a few random known items are 0 for that
user: the usual way to make ratings of clicks. All items are scored through copies of its weights:
River's own `rank` makes one Python call per item, 25,000 of them per event.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from river import optim, reco

from learner.baselines.full_ranking import FullRanking, RankingConfig, Scores
from learner.baselines.protocol import Events


class RiverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of River's factorisation; its defaults where it has some."""

    width: Annotated[int, Meta(gt=0, description="Factors (`n_factors`).")] = 10
    step: Annotated[float, Meta(gt=0, description="SGD's step, for biases and factors.")] = 0.05
    decay: Annotated[float, Meta(ge=0, description="`l2_bias` and `l2_latent`.")] = 0.0
    negatives: Annotated[
        int, Meta(ge=1, description="Known items drawn as 0 per event, uniformly.")
    ] = 2
    seed: Annotated[int, Meta(description="Seed of first factors and negatives.")] = 0


class RiverBiasedMf(FullRanking):
    """BiasedMF's score for all items: item bias plus the product of user and item factors.

    The mean and the user's bias are the same for all items, so they don't enter the rank. Items
    that BiasedMF hasn't met score 0; an unknown user gets the items' biases.
    """

    def __init__(self, config: RankingConfig, river: RiverConfig | None = None) -> None:
        super().__init__("River BiasedMF", config)
        self.river = river or RiverConfig()
        self._random = np.random.default_rng(self.river.seed)
        self._model = reco.BiasedMF(
            n_factors=self.river.width,
            bias_optimizer=optim.SGD(self.river.step),
            latent_optimizer=optim.SGD(self.river.step),
            l2_bias=self.river.decay,
            l2_latent=self.river.decay,
            latent_initializer=optim.initializers.Normal(sigma=0.1, seed=self.river.seed),
        )
        self._bias_I: NDArray[np.float32] = np.zeros(config.n_items, np.float32)
        self._item_ID: NDArray[np.float32] = np.zeros(
            (config.n_items, self.river.width), np.float32
        )

    def score(self, batch: Events, history_BT: NDArray[np.int32]) -> Scores:
        """Multiply users with all items; reading must not create weights for an unknown user."""
        user_BD = np.zeros((batch.n_events, self.river.width), np.float32)
        for b, user in enumerate(batch.user.tolist()):
            if user in self._model.u_latents:
                user_BD[b] = self._model.u_latents[user]
        scores_BI: Scores = user_BD @ self._item_ID.T
        scores_BI += self._bias_I
        return scores_BI

    def count(self, batch: Events, history_BT: NDArray[np.int32]) -> None:
        """Learn each event as 1 and its random items as 0, then copy the weights that moved."""
        known = np.union1d(np.flatnonzero(self.known), batch.item)
        other_BN = self._random.choice(known, (batch.n_events, self.river.negatives))
        pairs = zip(batch.user.tolist(), batch.item.tolist(), other_BN.tolist(), strict=True)
        for user, item, others in pairs:
            self._model.learn_one(user, item, 1.0)
            for other in others:
                if other != item:
                    self._model.learn_one(user, other, 0.0)
        for item in np.union1d(batch.item, other_BN).tolist():
            self._bias_I[item] = self._model.i_biases[item]
            self._item_ID[item] = self._model.i_latents[item]
