"""The experts: what can be counted. They need no gradient, and are right from the first event.

Legend: `N` events, `B` users, `T` past steps, `I` catalogue rows, `P` pairs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from learner.batch import Histories
from learner.config import ModelConfig
from learner.neighbours import Neighbours
from learner.popularity import Popularity

NEXT_LAGS = 3
"""An event follows the last, the second and the third last item; what is older says little."""

LAG_WEIGHTS = np.array([1.0, 0.5, 0.33], np.float32)
"""What each lag counts for in `following`."""

REPEAT_MEMORY = 5_000.0
"""Events after which an observed repeat has faded: long enough to see a habit of one in 200."""

NO_REPEATS_BELOW = 0.005
"""Below this share of repeats, what a user had is not offered again."""


class Experts:
    """Popularity, next items, co-visited items, and each item's habits; memory is bounded.

    Everything is indexed by catalogue row and saved by item id.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.popularity = Popularity()
        self.following = Neighbours(config.neighbours, config.neighbour_half_life_s)
        self.together = Neighbours(config.neighbours, config.neighbour_half_life_s)
        self.first_ms_I = np.zeros(0, np.int64)
        self.last_ms_I = np.zeros(0, np.int64)
        self.taken_I = np.zeros(0, np.float32)
        self.repeated_I = np.zeros(0, np.float32)
        self.repeats = np.array([1.0, 20.0])

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
        self.following.reserve(items)
        self.together.reserve(items)
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

        # 1. What follows the last three items.
        lags = min(NEXT_LAGS, past.rows_BT.shape[1])
        source_BL = past.rows_BT[:, : -lags - 1 : -1]
        target_BL = np.broadcast_to(rows_B[:, None], source_BL.shape)
        weight_BL = np.broadcast_to(LAG_WEIGHTS[:lags], source_BL.shape)
        self.following.add(source_BL.ravel(), target_BL.ravel(), weight_BL.ravel(), now_ms, items)

        # 2. What is visited together, in both directions.
        window = self.config.covisit_window
        seen_BW = past.rows_BT[:, -window:]
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

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps, as flat named arrays."""
        state: dict[str, NDArray[np.generic]] = {
            "first_ms_I": self.first_ms_I,
            "last_ms_I": self.last_ms_I,
            "taken_I": self.taken_I,
            "repeated_I": self.repeated_I,
            "repeats": self.repeats,
        }
        for part in ("popularity", "following", "together"):
            state |= {f"{part}.{name}": a for name, a in getattr(self, part).state().items()}
        return state

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        for part in ("popularity", "following", "together"):
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
