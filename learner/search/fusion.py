"""How much words, meaning and the shopper count in search, learnt online from what is clicked.

Two sums of the same features are learnt side by side: a plain one, of what the query says, and a
personal one, of all. Both are conditional logits of what was clicked among what was shown (McFadden
1974), with weights that are never negative and may reach nothing, so that meaning counts nothing in
a shop where it doesn't help (a convex combination of scores: Bruch, Gai & Ingber 2023). Each kind
of query has weights of its own.

A gate between the two decides how much the personal one counts, by kind of query and of visitor:
exponential weights on what each lost before it learnt (Herbster & Warmuth 1998). Where personal
doesn't pay, as for a query of one item's name, the gate stays shut.

What is shown first is clicked most. The chance that a place is looked at is learnt together with
the ranking, each from what the other leaves over (the dual learning algorithm: Ai, Bi, Luo, Guo &
Croft 2018), and a click counts by the inverse of its place's chance, within bounds.

Legend: `C` shown items, `F` features, `K` places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES = (
    "words",
    "all_words",
    "meaning",
    "alike",
    "category",
    "popular",
    "personal",
    "short_taste",
    "long_taste",
    "brand",
    "price",
)
"""What a found item is described by; the first six know nothing of who asks."""

PLAIN = 6

PRIOR: tuple[float, ...] = (3.0, 3.0, 9.0, 6.0, 0.3, 0.2, 0.6, 0.5, 0.5, 0.2, 0.1)
"""Before any click: of the plain ones what served best where people rated what was found."""

Query = Literal["known", "short", "long"]
QUERIES: tuple[Query, ...] = ("known", "short", "long")
"""Kinds of queries: one that looks like an item's own name or code, one word, and all others."""

Visitor = Literal["cold", "new", "known"]
VISITORS: tuple[Visitor, ...] = ("cold", "new", "known")

KNOWN_WORDS, NEW_EVENTS = 4, 5

OPEN: dict[Query, float] = {"known": 0.02, "short": 0.5, "long": 0.3}
"""How far the gate is open before any click; for a visitor without a past it stays shut."""

PLACES = 20
"""Places whose chances are learnt; those beyond share the last one's."""

MOST = 10.0
"""A click's weight is at most this: a rare one far down must not decide alone."""

RATE, PLACE_RATE = 0.3, 0.05
"""Steps of the weights (by Adagrad) and of the places' chances."""

GATE_RATE, GATE_SHARE = 0.2, 1e-3
"""How fast the gate moves, and what of its weight goes back to both sides at each list."""

MARGIN = 0.02
"""What the personal sum has to gain at a list to open the gate, in nats: a tie keeps it shut."""


class Arm(msgspec.Struct, kw_only=True):
    """A sum of features, and how far each weight has moved (Adagrad)."""

    weights: list[float]
    moved: list[float]


class HeadState(msgspec.Struct, kw_only=True):
    """All that is learnt; plain numbers, so that it goes into a file or a record as it is."""

    plain: list[Arm]
    personal: list[Arm]
    gate: list[list[float]]
    places: list[float]
    lists: int = 0


def fresh(prior: Sequence[float] = PRIOR) -> HeadState:
    """The state before any click."""
    zeros = [0.0] * len(FEATURES)
    of_query = [*prior[:PLAIN], *zeros[PLAIN:]]
    return HeadState(
        plain=[Arm(weights=list(of_query), moved=list(zeros)) for _ in QUERIES],
        personal=[Arm(weights=list(prior), moved=list(zeros)) for _ in QUERIES],
        gate=[
            [0.0 if visitor == "cold" else OPEN[query] for visitor in VISITORS] for query in QUERIES
        ],
        places=[-float(np.log1p(place)) for place in range(PLACES)],
    )


def fits(state: HeadState) -> bool:
    """Whether a state that was kept is of this release's shape.

    >>> fits(fresh()), fits(HeadState(plain=[], personal=[], gate=[], places=[]))
    (True, False)
    """
    new = fresh()
    return all(
        np.shape([arm.weights for arm in ours]) == np.shape([arm.weights for arm in theirs])
        and np.shape([arm.moved for arm in ours]) == np.shape([arm.moved for arm in theirs])
        for ours, theirs in ((new.plain, state.plain), (new.personal, state.personal))
    ) and (np.shape(new.gate), len(new.places)) == (np.shape(state.gate), len(state.places))


def query_kind(words: int, with_code: bool) -> Query:
    """The kind of a query, by its words and whether one has both letters and digits.

    >>> query_kind(1, False), query_kind(2, True), query_kind(5, False), query_kind(2, False)
    ('short', 'known', 'known', 'long')
    """
    if with_code or words >= KNOWN_WORDS:
        return "known"
    return "short" if words == 1 else "long"


def visitor_kind(events: int) -> Visitor:
    """The kind of a visitor, by how much they have done.

    >>> visitor_kind(0), visitor_kind(3), visitor_kind(9)
    ('cold', 'new', 'known')
    """
    if not events:
        return "cold"
    return "new" if events < NEW_EVENTS else "known"


class SearchHead:
    """Scores what was found, and learns from what was clicked.

    Examples
    --------
    >>> head = SearchHead()
    >>> shown = np.zeros((3, len(FEATURES)))
    >>> shown[0, 0], shown[2, 2] = 1.0, 1.0
    >>> for _ in range(50):
    ...     _ = head.learn(shown, [2], "long", "cold")
    >>> bool(np.argmax(head.score(shown, "long", "cold")) == 2)
    True
    """

    def __init__(self, state: HeadState | None = None) -> None:
        self.state = state or fresh()

    def opened(self, query: Query, visitor: Visitor) -> float:
        """How much the personal sum counts, from 0 to 1."""
        return self.state.gate[QUERIES.index(query)][VISITORS.index(visitor)]

    def score(self, found_CF: NDArray[np.floating], query: Query, visitor: Visitor) -> Floats:
        """What each found item is worth, shape (C,)."""
        kind, opened = QUERIES.index(query), self.opened(query, visitor)
        plain_F = np.array(self.state.plain[kind].weights)
        personal_F = np.array(self.state.personal[kind].weights)
        scores: Floats = found_CF @ ((1.0 - opened) * plain_F + opened * personal_F)
        return scores

    def weights(self, query: Query, visitor: Visitor) -> dict[str, float]:
        """What each feature counts now, by name."""
        weights_F = self.score(np.eye(len(FEATURES)), query, visitor)
        return {name: float(weight) for name, weight in zip(FEATURES, weights_F, strict=True)}

    def chances(self, count: int) -> Floats:
        """How likely places are looked at, to the first one: shape (count,)."""
        places_K = np.array(self.state.places)
        at_C = np.minimum(np.arange(count), PLACES - 1)
        chance_C: Floats = np.exp(np.minimum(places_K[at_C] - places_K[0], 0.0))
        return chance_C

    def learn(
        self,
        shown_CF: NDArray[np.floating],
        clicked: Sequence[int],
        query: Query,
        visitor: Visitor,
        *,
        by_place: bool = True,
    ) -> float:
        """Learn from one list, first to last; returns what the gate's mixture lost, in nats.

        Parameters
        ----------
        shown_CF
            What was shown, as it was described when it was shown.
        clicked
            Places that were clicked, from 0.
        query, visitor
            Whose list it was.
        by_place
            Whether places decide what is looked at; not where all of a list is known to be seen.
        """
        if not clicked:
            return 0.0
        kind, who = QUERIES.index(query), VISITORS.index(visitor)
        weight_N = np.ones(len(clicked))
        if by_place:
            chance_C = self.chances(len(shown_CF))
            weight_N = np.minimum(1.0 / chance_C[list(clicked)], MOST)
            self._learn_places(self.score(shown_CF, query, visitor), clicked)
        losses = [
            self._step(arms[kind], shown_CF, clicked, weight_N, known)
            for arms, known in ((self.state.plain, PLAIN), (self.state.personal, len(FEATURES)))
        ]
        self.state.lists += 1
        opened = self.state.gate[kind][who]
        if visitor == "cold":
            return losses[0]
        self.state.gate[kind][who] = _moved(opened, losses[0], losses[1] + MARGIN)
        return (1.0 - opened) * losses[0] + opened * losses[1]

    def _step(
        self,
        arm: Arm,
        shown_CF: NDArray[np.floating],
        clicked: Sequence[int],
        weight_N: Floats,
        known: int,
    ) -> float:
        """One step of a sum; returns its loss before."""
        weights_F = np.array(arm.weights)
        chance_C = _softmax(shown_CF @ weights_F)
        places = list(clicked)
        loss = float(-(weight_N * np.log(np.maximum(chance_C[places], 1e-12))).sum())
        target_C = np.zeros(len(shown_CF))
        np.add.at(target_C, places, weight_N)
        slope_F = shown_CF.T @ (weight_N.sum() * chance_C - target_C)
        slope_F[known:] = 0.0
        moved_F = np.array(arm.moved) + slope_F**2
        weights_F -= RATE * slope_F / np.sqrt(1.0 + moved_F)
        arm.weights = np.maximum(weights_F, 0.0).tolist()
        arm.moved = moved_F.tolist()
        return loss / float(weight_N.sum())

    def _learn_places(self, score_C: Floats, clicked: Sequence[int]) -> None:
        """Move the places' chances: a click on what ranks low says that its place is looked at."""
        count = min(len(score_C), PLACES)
        inside = [place for place in clicked if place < count]
        if not inside or count < 2:  # noqa: PLR2004
            return
        worth_C = _softmax(score_C)
        weight_N = np.minimum(worth_C[0] / np.maximum(worth_C[inside], 1e-6), MOST)
        places_K = np.array(self.state.places)
        target_C = np.zeros(count)
        np.add.at(target_C, inside, weight_N)
        places_K[:count] += PLACE_RATE * (target_C - weight_N.sum() * _softmax(places_K[:count]))
        self.state.places = places_K.tolist()


def _moved(opened: float, plain: float, personal: float) -> float:
    """The gate after a list on which the two sums lost so much."""
    worth = np.array([1.0 - opened, opened]) * np.exp(-GATE_RATE * np.array([plain, personal]))
    total = float(worth.sum())
    if not np.isfinite(total) or total <= 0.0:
        return opened
    return float((1.0 - 2.0 * GATE_SHARE) * worth[1] / total + GATE_SHARE)


def _softmax(score_C: Floats) -> Floats:
    raised = np.exp(score_C - score_C.max())
    chances: Floats = raised / raised.sum()
    return chances
