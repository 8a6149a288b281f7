"""Team-draft interleaving: two rankings in one list, and whose items are taken.

It needs far fewer shoppers than an A/B test to tell which of two rankings is better, because each
shopper compares both (Radlinski, Kurup, Joachims: "How Does Clickthrough Data Reflect Retrieval
Quality?", CIKM 2008, section 3.2).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple


class Interleaved(NamedTuple):
    """A list, and which ranking each item was drafted for: 0 or 1."""

    items: tuple[str, ...]
    teams: tuple[int, ...]

    def won(self, taken: Collection[str]) -> float:
        """Of what was taken, by how much more the second ranking's: from -1 to 1.

        >>> Interleaved(("a", "b", "c"), (0, 1, 0)).won({"b"}), Interleaved(("a",), (0,)).won(())
        (1.0, 0.0)
        """
        scores = [
            1 if team else -1
            for item, team in zip(self.items, self.teams, strict=True)
            if item in taken
        ]
        return sum(scores) / len(scores) if scores else 0.0


def team_draft(first: Sequence[str], second: Sequence[str], length: int, seed: str) -> Interleaved:
    """Draft in turns, a coin deciding who begins each turn; the same list for the same seed.

    >>> team_draft(["a", "b"], ["a", "c"], 3, "request-2").items
    ('a', 'c', 'b')
    """
    coin = Random(seed)
    rankings = (first, second)
    at = [0, 0]
    items: list[str] = []
    teams: list[int] = []
    taken: set[str] = set()
    while len(items) < length:
        order = (0, 1) if coin.random() < 0.5 else (1, 0)  # noqa: PLR2004  a fair coin
        drafted = False
        for team in order:
            ranking = rankings[team]
            while at[team] < len(ranking) and ranking[at[team]] in taken:
                at[team] += 1
            if at[team] < len(ranking) and len(items) < length:
                items.append(ranking[at[team]])
                teams.append(team)
                taken.add(items[-1])
                drafted = True
        if not drafted:
            break
    return Interleaved(tuple(items), tuple(teams))
