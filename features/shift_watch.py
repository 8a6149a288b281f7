"""The search for shifts in the events of a run: both witnesses are heard after every event.

What the witnesses are is told in `features.shift`. Most events can't show a shift, whatever the
vectors say; those are found for all users at once (`features.shift_screen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from features.interest import InterestConfig, ItemFacts, ItemSpace, likeness
from features.shift import Detector, Move, ShiftState, evidence, moved
from features.shift_screen import may_show
from stream.events import Event, InterestShift


class InTime(NamedTuple):
    """An event that no known event of its user is later than.

    Attributes
    ----------
    event, events
        The event, and how many of its user came before it.
    pulls
        How many of the run's pulls on its user's interests came up to it.
    history
        Its number in `ShiftWatch`; `None` where the history is too short to show anything.
    """

    event: Event
    events: int
    pulls: int
    history: int | None


class ShiftWatch:
    """Looks for shifts in the histories of a run's users.

    Attributes
    ----------
    items
        The items of the users' steps: of each user those that were known, then the new ones.
    """

    def __init__(self, space: ItemSpace, detector: Detector, config: InterestConfig) -> None:
        self.items: list[str] = []
        self._space, self._detector, self._config = space, detector, config
        self._bounds: list[tuple[int, int]] = []
        self._facts: list[ItemFacts] = []
        self._may_show: list[bool] = []

    def add(self, start: int) -> int:
        """Note a history, which begins at a place in `items` and ends where they end now."""
        self._bounds.append((start, len(self.items)))
        return len(self._bounds) - 1

    def look(self) -> None:
        """Find out which of the histories are worth a closer look."""
        config = self._config
        least = min(config.shift_evidence, config.shift_evidence_agreed)
        self._facts = self._space.facts_of(self.items)
        may = may_show(self._facts, self._bounds, config.shift_window_events, least)
        self._may_show = may.tolist()

    def hear(
        self, before: ShiftState, events: Sequence[InTime], divergences: Sequence[float]
    ) -> tuple[ShiftState, list[InterestShift]]:
        """Hear the witnesses after each of a user's events.

        Parameters
        ----------
        before
            What was remembered before the events.
        divergences
            Of the user's interests, before the run's first pull and after each.
        """
        shift, reports = before, []
        config, step = self._config, self._detector.step
        for in_time in events:
            now = divergences[in_time.pulls]
            detector_state, risen = step(shift.detector, now)
            usual, cooldown, agreed = shift.detector.mean, shift.cooldown, shift.agreed
            agreed = config.shift_agree_events if risen else agreed - 1 if agreed else 0
            shift = ShiftState(
                detector_state,
                now,
                cooldown - 1 if cooldown else 0,
                shift.count,
                shift.last_ms,
                shift.last_to,
                agreed,
            )
            number = in_time.history
            if cooldown or number is None or not self._may_show[number]:
                continue
            move = self._move(
                number, config.shift_evidence_agreed if agreed else config.shift_evidence
            )
            if move is None:
                continue
            event = in_time.event
            reports.append(
                InterestShift(
                    user_id=event.user_id,
                    event_id=event.event_id,
                    ts_ms=event.ts_ms,
                    from_category=move.from_category,
                    to_category=move.to_category,
                    divergence=now,
                    usual_divergence=usual,
                    user_events=in_time.events + 1,
                    received_ms=event.received_ms,
                    evidence=move.evidence,
                )
            )
            shift = msgspec.structs.replace(
                shift,
                cooldown=config.shift_cooldown_events,
                count=shift.count + 1,
                last_ms=event.ts_ms,
                last_to=move.to_category,
                agreed=0,
            )
        return shift, reports

    def _move(self, number: int, enough: float) -> Move | None:
        """Where a history moves to, if the evidence is enough."""
        start, end = self._bounds[number]
        items, facts = self.items[start:end], self._facts[start:end]
        newest = self._config.shift_window_events
        if evidence(likeness(facts), newest, enough) < enough:
            return None
        categories = [item.category for item in facts]
        recent = zip(items[-newest:], categories[-newest:], strict=True)
        return moved(categories[:-newest], list(recent))
