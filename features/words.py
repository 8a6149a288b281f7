"""A user in words: what they like now, what changed and when, counted from their state.

Pure: state and catalogue in, claims out; `features.words_text` makes sentences of them. A user is
described at some of their first events and whenever their interest shifts, not at every event: so
what is said is true of the moment at which it was said, whose events it counts. How runs are cut
makes no difference: it is said of the state after the event that made it due, not after its run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from features.interest import ItemFacts
from features.profile import AppliedAll, InterestModel, Users, counted
from features.profile_draft import MOMENTS
from features.profile_state import Profile
from features.readings import PRAISES, as_read
from features.words_text import MAX_NAME, Share, Turn, Words, language_of, text_of
from stream.cut import cut
from stream.events import Event, ProfileText

NEWEST = 10
"""Events, or reviews, that say what a user looks for now."""

LEAST = 2
"""Times that something comes among them before it is said."""

Because = Literal["events", "shift", "reviews"]

FactsOf = Callable[[Iterable[str]], Sequence[ItemFacts]]
"""What the catalogue knows of items, as `features.interest.ItemSpace.facts_of`."""


class Describer:
    """Describes users after a run of their events, where they are due."""

    def __init__(self, model: InterestModel) -> None:
        self._model = model

    def after(
        self, user_ids: Iterable[str], users: Users, applied: Sequence[AppliedAll], partition: int
    ) -> list[tuple[Profile, ProfileText | None]]:
        """States after a run, those who are due described, and the records that say so.

        Parameters
        ----------
        users, applied, partition
            The states and what was applied to them, and what came of it; as of `features.profile`.
        """
        told: list[tuple[Profile, ProfileText | None]] = []
        for user_id, (before, events), done in zip(user_ids, users, applied, strict=True):
            found = due(before, done)
            if found is None:
                told.append((done.profile, None))
                continue
            at, because = found
            then = self._then(at, before, events, done, partition)
            words = describe(then, self._model.space.facts_of)
            text = profile_text(user_id, then, words, because)
            told.append((msgspec.structs.replace(done.profile, words=words), text))
        return told

    def _then(
        self,
        at: int,
        before: Profile,
        events: Sequence[tuple[int, Event]],
        done: AppliedAll,
        partition: int,
    ) -> Profile:
        """The state after an example of a run, as far as it is spoken of.

        What a user did later in the run is not: how runs are cut makes no difference. No interest
        has shifted since: the shift is the one that the whole run has left.
        """
        if at + 1 >= len(done.examples):
            return done.profile
        if (standing := done.standings.get(at)) is not None:
            return msgspec.structs.replace(done.profile, **standing._asdict())
        # A shift is known only after the whole run: few users have one amid it.
        upto = done.examples[at].offset
        head = [(offset, event) for offset, event in events if offset <= upto]
        return counted(before, head, partition, self._model, done.profile.shift)

    def of(self, user_id: str, profile: Profile) -> tuple[Words, ProfileText]:
        """What is said of a user whose praise has just moved, and the record that says it."""
        words = describe(profile, self._model.space.facts_of)
        return words, profile_text(user_id, profile, words, "reviews")


def due(before: Profile, done: AppliedAll) -> tuple[int, Because] | None:
    """At which event of a run a user was due last, and why; `None` if at none.

    Who has events enough and was never described, by an older release say, is due at once.
    """
    shifted = {shift.event_id for shift in done.shifts}
    for at in range(len(done.examples) - 1, -1, -1):
        example = done.examples[at]
        if example.event_id in shifted:
            return at, "shift"
        if example.user_events + 1 in MOMENTS:
            return at, "events"
    if not before.words.counts and before.events >= MOMENTS[0] and done.examples:
        return 0, "events"
    return None


def describe(profile: Profile, facts_of: FactsOf) -> Words:
    """Count what is said of a user.

    Parameters
    ----------
    profile
        The state; of its events the newest 50 are known one by one.
    facts_of
        Categories and brands of their items, as the catalogue has them now.
    """
    steps = profile.steps
    facts = facts_of([step.item_id for step in steps])
    newest = facts[-NEWEST:]
    moved_ms = profile.shift.last_ms
    before = [f for step, f in zip(steps, facts, strict=True) if step.ts_ms < moved_ms]
    to = profile.shift.last_to if profile.shift.count else ""
    told = [
        (f.category, (step.rating or 0.0) > PRAISES)
        for step, f in zip(as_read(steps, profile.readings), facts, strict=True)
        if step.kind == "review"
    ][-NEWEST:]
    return Words(
        counts=profile.counts,
        first_ms=profile.first_ms,
        last_ms=profile.last_ms,
        category=_most([f.category for f in newest]),
        brand=_most([f.brand for f in newest]),
        price=(round(profile.price.value, 2), profile.price.n),
        turned=Turn(_short(to), moved_ms, _most([f.category for f in before], but=to))
        if to
        else Turn(),
        praises=_most([name if praised else "" for name, praised in told]),
    )


def profile_text(user_id: str, profile: Profile, words: Words, because: Because) -> ProfileText:
    """The record of `profiles` of a user who was described."""
    return ProfileText(
        user_id=user_id,
        text=text_of(words),
        language=language_of(words),
        because=because,
        event_id=profile.last_event_id,
        ts_ms=profile.last_ms,
        user_events=words.events,
    )


def _most(names: Sequence[str], but: str = "") -> Share:
    """The most frequent name, of several the one seen last; nothing if it came hardly ever."""
    latest = {name: place for place, name in enumerate(names) if name and name != but}
    best = max(latest, key=lambda name: (names.count(name), latest[name]), default="")
    n = names.count(best) if best else 0
    return Share(_short(best), n, len(names)) if n >= LEAST else Share()


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else cut(name, MAX_NAME - 1) + "…"
