"""What is remembered of one user, and how an event changes it.

`apply` is pure: state and event in, new state out, with the training example and the interest shift
that follow. `apply_all` does it for all users of a run, many times sooner: what is counted and
listed goes event by event (`features.profile_draft`), vectors (`features.pulls`) and the search for
shifts (`features.shift_watch`) for all of them at once. What follows from an event doesn't depend
on what else is in its run.

Applying an event twice changes nothing the second time, whichever way it came back:

- **redelivered** from `events` after a crash: its offset is not above the last one applied;
- **written twice** to `events`, because ingest was killed before its commit: the offset of its raw
  record is not above the last one applied of that raw partition;
- **sent twice** by its producer under the same event id: the id is among the newest of the user.

A **replayed** dead letter comes after its neighbours of old, so the place of its raw record says
nothing; its event id does.

Offsets start again when a topic is deleted and made anew; a record is therefore only taken for a
repeat if it isn't newer, by its Kafka timestamp, than all that was applied from there.

Events that come late, with a time before the newest known one, are put into the history at their
place in time, count everywhere, and pull the interests as little as if they had come in time. They
don't move the shift detector, and their example's history stops before *their* time.

A step that falls out of the history leaves its item's code in `seen`. All that fell out is older
than every step that is kept; so an example carries `seen` if a kept step is before its event, and
otherwise nothing, because nobody knows any more which of those items came first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from features.interest import InterestConfig, ItemSpace
from features.profile_draft import MAX_STEPS, Draft, Standing
from features.profile_state import Profile
from features.pulls import Strength, pull_all
from features.readings import as_read, mean_sentiment
from features.shift import Detector, ShiftState
from features.shift_watch import ShiftWatch
from features.store import UserFeatures
from features.words_text import text_of
from stream.events import Event, Example, InterestShift

__all__ = [
    "MAX_STEPS",
    "Applied",
    "AppliedAll",
    "InterestModel",
    "Place",
    "Users",
    "apply",
    "apply_all",
    "counted",
    "features",
]


class Applied(NamedTuple):
    """What one event brings about; without an example it had been applied before."""

    profile: Profile
    example: Example | None = None
    shift: InterestShift | None = None


class AppliedAll(NamedTuple):
    """What a user's events bring about: an example of each that had not been applied before.

    `standings` say where the user stood in between, as `features.profile_draft.Draft` keeps them.
    """

    profile: Profile
    examples: Sequence[Example]
    shifts: Sequence[InterestShift]
    standings: Mapping[int, Standing] = MappingProxyType({})


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


class InterestModel(NamedTuple):
    """What an event's effect on interests depends on: the items, the detector, the settings."""

    space: ItemSpace
    detector: Detector
    config: InterestConfig


Users = Sequence[tuple[Profile, Sequence[tuple[int, Event]]]]
"""Each user's profile, and their events in order, with their offsets in `events`."""


def apply(profile: Profile, event: Event, place: Place, model: InterestModel) -> Applied:
    """Apply an event, whose place in `events` is given, to the profile of its user."""
    (done,) = apply_all([(profile, [(place.offset, event)])], place.partition, model)
    return Applied(
        done.profile,
        done.examples[0] if done.examples else None,
        done.shifts[0] if done.shifts else None,
    )


def apply_all(users: Users, partition: int, model: InterestModel) -> list[AppliedAll]:
    """Apply events of one partition to the profiles of their users, each once."""
    space, detector, config = model
    strength, watch = Strength(config), ShiftWatch(space, detector, config)
    drafts = [Draft(profile, partition, space, strength, watch) for profile, _ in users]
    for draft, (_, events) in zip(drafts, users, strict=True):
        for offset, event in events:
            draft.take(offset, event)
    pulled = pull_all([profile.interests for profile, _ in users], [d.pulls for d in drafts])
    watch.look()
    done = []
    for draft, (interests, divergences) in zip(drafts, pulled, strict=True):
        shift, reports = watch.hear(draft.before.shift, draft.in_time, divergences)
        profile = draft.profile(interests, shift)
        done.append(AppliedAll(profile, draft.examples, reports, draft.standings))
    return done


def counted(
    profile: Profile,
    events: Sequence[tuple[int, Event]],
    partition: int,
    model: InterestModel,
    shift: ShiftState,
) -> Profile:
    """The profile after events as far as it is listed and counted, at a third of the cost.

    Its interests are those of before, and its shift is the one given.
    """
    strength, watch = Strength(model.config), ShiftWatch(*model)
    draft = Draft(profile, partition, model.space, strength, watch)
    for offset, event in events:
        draft.take(offset, event)
    return draft.profile(profile.interests, shift)


def features(user_id: str, profile: Profile) -> UserFeatures:
    """The row of the online store that says what is known of a user."""
    steps, counts = profile.steps, profile.counts
    read, as_they_read = mean_sentiment(profile.readings), as_read(steps, profile.readings)
    short_D, long_D = profile.interests.vectors()
    known = bool(profile.interests.short)
    return UserFeatures(
        user_id=user_id,
        updated_ms=profile.last_ms,
        last_event_id=profile.last_event_id,
        recent_items=tuple([step.item_id for step in steps]),
        recent_kinds=tuple([step.kind for step in steps]),
        recent_ts_ms=tuple([step.ts_ms for step in steps]),
        recent_ratings=tuple([step.rating or 0.0 for step in as_they_read]),
        seen=profile.seen,
        short_vector=tuple(short_D.tolist()) if known else (),
        long_vector=tuple(long_D.tolist()) if known else (),
        events=sum(counts),
        views=counts[0],
        clicks=counts[1],
        carts=counts[2],
        purchases=counts[3],
        reviews=counts[4],
        top_category=_top(profile.categories),
        top_brand=_top(profile.brands),
        mean_price=profile.price.value,
        mean_rating=profile.rating.value,
        mean_sentiment=profile.sentiment.value if read is None else read,
        divergence=profile.shift.divergence,
        shifts=profile.shift.count,
        last_shift_ms=profile.shift.last_ms,
        last_shift_to=profile.shift.last_to,
        words=text_of(profile.words),
    )


def _top(preferences: dict[str, int]) -> str:
    return max(preferences, key=lambda key: (preferences[key], key), default="")
