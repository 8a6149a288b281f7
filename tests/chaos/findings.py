"""What a verdict counts, and the first differences in words."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

SHOWN = 50
"""Differences in words: more of them say nothing new."""

Fault = Literal["lost", "double", "unanswered", "state_mismatches"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a comparison; `clean` where nothing is wrong.

    Attributes
    ----------
    events, accepted, duplicates, dead_letters
        Raw records that were sent, and what became of them.
    counted_again
        Copies that came when their user's memory of ids had gone past them, and counted as new.
    requests, unanswered
        What was asked for, and what has no answer, or answers that contradict each other.
    lost, double
        Records without a fate and events without an effect; records with two, events with more.
    state_mismatches
        Whatever else differs: profiles, rows of the online store, examples, the learner.
    differences
        The first of them in words.
    """

    events: int = 0
    accepted: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    counted_again: int = 0
    requests: int = 0
    lost: int = 0
    double: int = 0
    unanswered: int = 0
    state_mismatches: int = 0
    differences: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing at all differs."""
        return not (self.lost or self.double or self.unanswered or self.state_mismatches)


class Findings:
    """A verdict in the making."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []

    def note(self, fault: Fault, words: str, times: int = 1) -> None:
        """Count a difference."""
        self.counts[fault] += times
        if len(self.differences) < SHOWN:
            self.differences.append(f"{fault}: {words}")

    def verdict(self) -> Verdict:
        """What was found."""
        return Verdict(differences=tuple(self.differences), **self.counts)
