"""The model as serving runs it: a published version bound to the local catalogue.

Legend: `B` users, `K` or `P` items of a list, `C` candidates, `T` past steps, `I` catalogue rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalog import UNKNOWN, Catalog
from learner.batch import Histories, make_histories
from learner.config import LearnerConfig
from learner.ranker import Ranker, served
from learner.snapshot import Saved
from learner.speaking import speaks_for
from learner.state import ranker_of
from stream.events import Step


class Ranked(NamedTuple):
    """The best items of each user, best first; `UNKNOWN` rows and -inf where there are fewer."""

    rows_BK: NDArray[np.int32]
    scores_BK: NDArray[np.float32]


class Scorer:
    """Ranks the catalogue for users; never learns.

    Items that came after the version was published are ranked by their text at once; deleted and
    unavailable ones never. Make it with `of_version` or `untrained`.

    Examples
    --------
    >>> from stream.events import ItemVector
    >>> catalog = Catalog(width=2)
    >>> for name, x in (("kettle", (1, 0)), ("teapot", (0.8, 0.6)), ("drill", (0, 1))):
    ...     vector = np.array(x, "<f2").tobytes()
    ...     catalog.upsert([ItemVector(item_id=name, vector=vector, encoder="", text_hash="",
    ...                                first_seen_ms=0)])
    >>> scorer = Scorer.untrained(catalog, LearnerConfig(device="cpu"))
    >>> ranked = scorer.rank_many([[Step("kettle", "view", 0)]], now_ms=1_000, k=2)
    >>> [catalog.item(row).item_id for row in ranked.rows_BK[0]]
    ['kettle', 'teapot']
    """

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._catalog = ranker.catalog
        if ranker.behaviour is not None:
            ranker.behaviour.fix()
            ranker.tower.lasting = True

    @classmethod
    def of_version(cls, saved: Saved, catalog: Catalog, device: str = "auto") -> Scorer:
        """Bind a version, as `learner.snapshot.load_version` reads it, to the local catalogue.

        Raises
        ------
        ValueError
            If the version was made with text vectors of another width.
        """
        if saved.meta["width"] != catalog.width:
            msg = (
                f"the version was learnt on text vectors of width {saved.meta['width']}, the "
                f"catalogue's is {catalog.width}: use the learner's encoder here"
            )
            raise ValueError(msg)
        return cls(ranker_of(saved, catalog, device))

    @classmethod
    def untrained(cls, catalog: Catalog, config: LearnerConfig) -> Scorer:
        """The prior of a shop without events: text similarity to what was looked at of late."""
        return cls(Ranker(catalog, served(config)))

    def rank_many(
        self,
        histories: Sequence[Sequence[Step]],
        now_ms: int,
        k: int,
        allowed: NDArray[np.bool_] | None = None,
        allowed_per_user: Sequence[NDArray[np.bool_] | None] = (),
        *,
        seen: Sequence[bytes] = (),
    ) -> Ranked:
        """Rank the catalogue for many users.

        Parameters
        ----------
        histories
            Each user's past steps, oldest first.
        now_ms
            The time of the answer.
        k
            Length of each list.
        allowed
            What may be shown to all, by row; rows beyond its end may not. Unavailable items never.
        allowed_per_user
            What may be shown to each, on top of that; `None` allows everything.
        seen
            The codes of what each had before these steps, see `stream.events.Example`. Where a
            shop's users don't come back to what they had, neither is shown.
        """
        B, items = len(histories), len(self._catalog)
        rows_BK = np.full((B, k), UNKNOWN, np.int32)
        scores_BK = np.full((B, k), -np.inf, np.float32)
        allowed_I = self._allowed(allowed, items)
        if not B or not allowed_I.any():
            return Ranked(rows_BK, scores_BK)
        past = self._histories(histories, now_ms, seen)
        own = list(allowed_per_user) or [None] * B
        for part, scored in self._ranker.score_many(past, allowed_I):
            score_BC = np.where(scored.real_BK, scored.score_BK, -np.inf)
            for line, user in enumerate(range(part.start, part.stop)):
                mask = own[user]
                if mask is not None:
                    shown_C = _within(mask, scored.rows_BK[line])
                    score_BC[line, ~shown_C] = -np.inf
            take = min(k, score_BC.shape[1])
            best = np.argsort(-score_BC, axis=1, kind="stable")[:, :take]
            line_B1 = np.arange(len(best))[:, None]
            best_score, best_rows = score_BC[line_B1, best], scored.rows_BK[line_B1, best]
            rows_BK[part, :take] = np.where(np.isfinite(best_score), best_rows, UNKNOWN)
            scores_BK[part, :take] = best_score
        for short in np.flatnonzero((rows_BK == UNKNOWN).any(axis=1)):
            user = int(short)
            mask = own[user]
            wanted_I = allowed_I if mask is None else allowed_I & _padded(mask, items)
            self._fill(past, user, wanted_I, rows_BK[user], scores_BK[user])
        return Ranked(rows_BK, scores_BK)

    def evidence_many(
        self, past_BT: NDArray[np.int32], rows_BP: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """How much each past step speaks for each item, (B, P, T): the reasons behind lists.

        See `learner.speaking`.
        """
        experts = self._ranker.experts
        experts.reserve(len(self._catalog))
        return speaks_for(experts, self._catalog.vectors, past_BT, rows_BP)

    def take_newcomers(self) -> dict[str, int]:
        """How many users the newcomers' layer had a say in since the last call, by events."""
        layer = self._ranker.newcomers
        return {} if layer is None else layer.take_ranked()

    def taken(self, rows_N: NDArray[np.int32]) -> NDArray[np.int64]:
        """How often items were taken, as far as was learnt."""
        experts = self._ranker.experts
        experts.reserve(len(self._catalog))
        return experts.taken_I[rows_N].astype(np.int64)

    def _histories(
        self, histories: Sequence[Sequence[Step]], now_ms: int, seen: Sequence[bytes]
    ) -> Histories:
        B = len(histories)
        events = [len(history) for history in histories]
        steps = self._ranker.config.model.steps
        return make_histories(self._catalog, histories, [now_ms] * B, events, steps, seen=seen)

    def _allowed(self, allowed: NDArray[np.bool_] | None, items: int) -> NDArray[np.bool_]:
        available_I = self._ranker.allowed_I()
        return available_I if allowed is None else available_I & _padded(allowed, items)

    def _fill(
        self,
        past: Histories,
        user: int,
        wanted_I: NDArray[np.bool_],
        rows_K: NDArray[np.int32],
        scores_K: NDArray[np.float32],
    ) -> None:
        """Complete a list that a narrow filter left short, from all that the filter lets through.

        The candidates are named again with the filter in place; what is still missing then is
        filled by popularity.
        """
        wanted_I = wanted_I.copy()
        if not self._ranker.experts.offers_again:
            own = past.rows_BT[user]
            wanted_I[own[own >= 0]] = False
            if past.seen_B:
                wanted_I &= ~np.isin(self._catalog.codes, np.frombuffer(past.seen_B[user], "<u4"))
        found: list[tuple[float, int]] = []
        for _, scored in self._ranker.score_many(past.take(slice(user, user + 1)), wanted_I):
            real_C = scored.real_BK[0]
            found = list(
                zip(
                    scored.score_BK[0, real_C].tolist(),
                    scored.rows_BK[0, real_C].tolist(),
                    strict=True,
                )
            )
        found.sort(key=lambda pair: -pair[0])
        wanted_I[[row for _, row in found]] = False
        left = np.flatnonzero(wanted_I)
        floor = found[-1][0] if found else 0.0
        count_I = self._ranker.experts.popularity.counts_HI[3, left]
        rest = left[np.argsort(-count_I, kind="stable")][: max(len(rows_K) - len(found), 0)]
        found += [(floor - place, row) for place, row in enumerate(rest.tolist(), start=1)]
        found = found[: len(rows_K)]
        rows_K[: len(found)] = [row for _, row in found]
        scores_K[: len(found)] = [score for score, _ in found]


def _within(mask: NDArray[np.bool_], rows_C: NDArray[np.int32]) -> NDArray[np.bool_]:
    inside_C = (rows_C >= 0) & (rows_C < len(mask))
    return inside_C & mask[np.where(inside_C, rows_C, 0)]


def _padded(mask: NDArray[np.bool_], items: int) -> NDArray[np.bool_]:
    """A mask made for a smaller catalogue, as long as this one: what came since is not allowed."""
    out = np.zeros(items, np.bool_)
    out[: min(len(mask), items)] = mask[:items]
    return out
