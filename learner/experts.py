"""The experts: what can be counted. They need no gradient, and are right from the first event.

Legend: `N` events, `B` users, `T` past steps, `I` catalogue rows, `P` pairs, `L` lags.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN
from learner.batch import Histories
from learner.config import ModelConfig
from learner.neighbours import Neighbours
from learner.popularity import Popularity
from learner.returns import Returns, newest_only
from learner.trust import Crowd

SKIP_WEIGHTS = np.array([0.6, 0.4], np.float32)
"""What the second and the third last item count for in `skipping`; what is older says little."""

REPEAT_MEMORY = 5_000.0
"""Events after which an observed repeat has faded: long enough to see a habit of one in 200."""

_PAIRS = ("following", "skipping", "together")

NO_REPEATS_BELOW = 0.005
"""Below this share of repeats, what a user had is not offered again."""


class Experts:
    """Popularity, next items, co-visited items, and habits of items and users; memory is bounded.

    `following` counts moves from the last item, `skipping` those from the two before, `together`
    all pairs within a window in both directions.

    Everything is indexed by catalogue row and saved by item id.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.popularity = Popularity()
        self.following = Neighbours(config.neighbours, config.neighbour_half_life_s)
        self.skipping = Neighbours(config.neighbours // 2, config.neighbour_half_life_s)
        self.together = Neighbours(config.neighbours, config.neighbour_half_life_s)
        self.first_ms_I = np.zeros(0, np.int64)
        self.last_ms_I = np.zeros(0, np.int64)
        self.taken_I = np.zeros(0, np.float32)
        self.repeated_I = np.zeros(0, np.float32)
        self.repeats = np.array([1.0, 20.0])
        self.returns = Returns(config.steps)
        self.crowd = Crowd()

    @property
    def repeat_share(self) -> float:
        """The share of events, of users with a past, at an item that the user had before."""
        return float(self.repeats[0] / self.repeats[1])

    @property
    def offers_again(self) -> bool:
        """Whether this shop's users come back to what they had."""
        return self.repeat_share >= NO_REPEATS_BELOW

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        self.popularity.reserve(items)
        self.crowd.reserve(items)
        for part in _PAIRS:
            getattr(self, part).reserve(items)
        grow = items - len(self.taken_I)
        if grow > 0:
            for name in ("first_ms_I", "last_ms_I", "taken_I", "repeated_I"):
                setattr(self, name, np.pad(getattr(self, name), (0, grow)))

    def learn(self, rows_B: NDArray[np.int32], past: Histories, items: int) -> None:
        """Count a micro-batch of events; `past.now_B` holds their times, rows are known ones."""
        self.reserve(items)
        if not len(rows_B):
            return
        now_ms = int(past.now_B.max())
        self.popularity.add(rows_B, past.now_B, items)

        # 1. What follows the last item, and the two before it.
        self.following.add(
            past.rows_BT[:, -1], rows_B, np.ones(len(rows_B), np.float32), now_ms, items
        )
        skipped_BL = past.rows_BT[:, -2:-4:-1]
        target_BL = np.broadcast_to(rows_B[:, None], skipped_BL.shape)
        weight_BL = np.broadcast_to(SKIP_WEIGHTS[: skipped_BL.shape[1]], skipped_BL.shape)
        self.skipping.add(skipped_BL.ravel(), target_BL.ravel(), weight_BL.ravel(), now_ms, items)

        # 2. What is visited together, in both directions; an item counts once per history.
        newest_BT = newest_only(past.rows_BT)
        window = self.config.covisit_window
        seen_BW = np.where(newest_BT, past.rows_BT, UNKNOWN)[:, -window:]
        target_BW = np.broadcast_to(rows_B[:, None], seen_BW.shape)
        one_P = np.ones(2 * seen_BW.size, np.float32)
        self.together.add(
            np.concatenate([seen_BW.ravel(), target_BW.ravel()]),
            np.concatenate([target_BW.ravel(), seen_BW.ravel()]),
            one_P,
            now_ms,
            items,
        )

        # 3. Each item's age, idle time and repeats.
        new_B = rows_B[self.taken_I[rows_B] == 0]
        self.first_ms_I[new_B] = now_ms
        np.maximum.at(self.last_ms_I, rows_B, past.now_B)
        again_B = (past.rows_BT == rows_B[:, None]).any(axis=1)
        self.taken_I += np.bincount(rows_B, minlength=len(self.taken_I)).astype(np.float32)
        self.repeated_I += np.bincount(rows_B[again_B], minlength=len(self.taken_I)).astype(
            np.float32
        )
        with_past = int((past.rows_BT[:, -1] >= 0).sum())
        fade = np.exp(-with_past / REPEAT_MEMORY)
        self.repeats = self.repeats * fade + np.array([float(again_B.sum()), float(with_past)])
        self.returns.learn(past, rows_B, newest_BT, fade)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps, as flat named arrays."""
        state: dict[str, NDArray[np.generic]] = {
            "first_ms_I": self.first_ms_I,
            "last_ms_I": self.last_ms_I,
            "taken_I": self.taken_I,
            "repeated_I": self.repeated_I,
            "repeats": self.repeats,
        }
        for part in ("popularity", *_PAIRS, "returns", "crowd"):
            state |= {f"{part}.{name}": a for name, a in getattr(self, part).state().items()}
        return state

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        for part in ("popularity", *_PAIRS, "returns", "crowd"):
            own = {
                name.removeprefix(f"{part}."): array
                for name, array in state.items()
                if name.startswith(f"{part}.")
            }
            getattr(self, part).restore(own, row_of_I, items)
        kept_I = row_of_I >= 0
        for name in ("first_ms_I", "last_ms_I", "taken_I", "repeated_I"):
            array = np.zeros(items, state[name].dtype)
            array[row_of_I[kept_I]] = state[name][kept_I]
            setattr(self, name, array)
        self.repeats = np.array(state["repeats"])
