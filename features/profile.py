"""What is remembered of one user, and how an event changes it.

`apply` is pure: state and event in, new state out, with the training example and the interest shift
that follow. Applying an event twice changes nothing the second time, whichever way it came back:

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

from bisect import bisect_right
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec

from features.interest import InterestConfig, Interests, ItemSpace, divergence, likeness, pull
from features.profile_state import Mark, Profile
from features.readings import as_read, mean_sentiment
from features.shift import LEAST_PAST, LEAST_RECENT, Detector, ShiftState, evidence, moved
from features.store import UserFeatures
from stream.events import KINDS, Event, Example, InterestShift, Step
from stream.seen import remember

MAX_STEPS = 50
"""Events in a history: what the behaviour transformer reads."""

_MAX_IDS = 48
"""Event ids remembered against producers that send twice: 8 bytes each, so that a full state stays
within 2 KiB, `seen` aside. Ingest drops what it sees; this catches what it forgot in a restart."""

_MAX_SOURCES = 32
"""Raw partitions remembered, against batches that ingest publishes again after a kill: a shop whose
raw topics are keyed by user needs 3, one for each; one that keys by nothing 24 of 8 partitions."""

_MAX_PREFERENCES = 8
_KEEP_PERMILLE = 970
"""What is left of a preference after each event: half after 23 events."""


class Applied(NamedTuple):
    """What one event brings about; without an example it had been applied before."""

    profile: Profile
    example: Example | None = None
    shift: InterestShift | None = None


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


class InterestModel(NamedTuple):
    """What an event's effect on interests depends on: the items, the detector, the settings."""

    space: ItemSpace
    detector: Detector
    config: InterestConfig


def apply(profile: Profile, event: Event, place: Place, model: InterestModel) -> Applied:
    """Apply an event, whose place in `events` is given, to the profile of its user."""
    event_hash = blake2b(event.event_id.encode(), digest_size=8).digest()
    raw = None if event.replayed else _raw_place(event.source)
    if _applied(profile, event, place, raw, event_hash):
        return Applied(_heard(profile, event, raw))

    space, _, config = model
    at = len(profile.steps)
    if at and event.ts_ms < profile.steps[-1].ts_ms:
        at = bisect_right(profile.steps, event.ts_ms, key=_time)
    later_events = len(profile.steps) - at
    step = Step(event.item_id, event.kind, event.ts_ms, event.rating)
    steps = (*profile.steps[:at], step, *profile.steps[at:])
    seen = profile.seen
    if len(steps) > MAX_STEPS:
        for dropped in steps[:-MAX_STEPS]:
            seen = remember(seen, dropped.item_id)
        steps = steps[-MAX_STEPS:]
    facts = space.facts(event.item_id)
    weight = config.weight(event)
    interests = profile.interests
    if facts.vector_D is not None:
        interests = pull(interests, facts.vector_D, weight, config, later_events)
    shift, report = profile.shift, None
    if not later_events:
        shift, report = _watch(profile, event, steps, interests, model)
    counts = list(profile.counts)
    counts[KINDS.index(event.kind)] += 1
    text = f"{event.title}\n{event.text}".strip() if event.title or event.text else ""
    rating, price = event.rating, facts.price if event.price is None else event.price
    example = Example(
        event_id=event.event_id,
        user_id=event.user_id,
        item_id=event.item_id,
        kind=event.kind,
        ts_ms=event.ts_ms,
        received_ms=event.received_ms,
        partition=place.partition,
        offset=place.offset,
        history=as_read(profile.steps[:at], profile.readings),
        user_events=profile.events,
        rating=rating,
        seen=profile.seen if at else b"",
        text=text,
    )
    known = profile.events > 0
    after = Profile(
        steps=steps,
        seen=seen,
        counts=tuple(counts),
        categories=_prefer(profile.categories, facts.category, weight),
        brands=_prefer(profile.brands, facts.brand, weight),
        price=profile.price if price is None else profile.price.add(price),
        rating=profile.rating if rating is None else profile.rating.add(rating),
        sentiment=profile.sentiment if rating is None else profile.sentiment.add((rating - 3) / 2),
        interests=interests,
        shift=shift,
        ids=(profile.ids + event_hash)[-8 * _MAX_IDS :],
        partition=place.partition,
        applied=(profile.applied if place.partition == profile.partition else Mark()).upto(
            place.offset, event.received_ms
        ),
        sources=_advance(profile.sources, raw, event.received_ms),
        last_event_id=event.event_id,
        first_ms=min(profile.first_ms, event.ts_ms) if known else event.ts_ms,
        last_ms=max(profile.last_ms, event.ts_ms),
        readings=profile.readings,
    )
    return Applied(after, example, report)


def features(user_id: str, profile: Profile) -> UserFeatures:
    """The row of the online store that says what is known of a user."""
    short_D, long_D = profile.interests.vectors()
    known = bool(profile.interests.short)
    steps, read = as_read(profile.steps, profile.readings), mean_sentiment(profile.readings)
    return UserFeatures(
        user_id=user_id,
        updated_ms=profile.last_ms,
        last_event_id=profile.last_event_id,
        recent_items=tuple([step.item_id for step in profile.steps]),
        recent_kinds=tuple([step.kind for step in profile.steps]),
        recent_ts_ms=tuple([step.ts_ms for step in profile.steps]),
        recent_ratings=tuple([step.rating or 0.0 for step in steps]),
        seen=profile.seen,
        short_vector=tuple(short_D.tolist()) if known else (),
        long_vector=tuple(long_D.tolist()) if known else (),
        events=profile.events,
        views=profile.counts[0],
        clicks=profile.counts[1],
        carts=profile.counts[2],
        purchases=profile.counts[3],
        reviews=profile.counts[4],
        top_category=_top(profile.categories),
        top_brand=_top(profile.brands),
        mean_price=profile.price.value,
        mean_rating=profile.rating.value,
        mean_sentiment=profile.sentiment.value if read is None else read,
        divergence=profile.shift.divergence,
        shifts=profile.shift.count,
        last_shift_ms=profile.shift.last_ms,
        last_shift_to=profile.shift.last_to,
    )


def _raw_place(source: str) -> Place | None:
    """Where an event's raw record stood, its topic and partition as one number."""
    raw, _, offset = source.rpartition("-")
    return Place(_code_of(raw), int(offset)) if offset.isdecimal() else None


@lru_cache(maxsize=1024)
def _code_of(raw: str) -> int:
    return crc32(raw.encode())


def _applied(
    profile: Profile, event: Event, place: Place, raw: Place | None, event_hash: bytes
) -> bool:
    if place.partition == profile.partition and profile.applied.covers(
        place.offset, event.received_ms
    ):
        return True
    if raw is not None and _covered(profile, event, raw):
        return True
    at = profile.ids.find(event_hash)
    while at > 0 and at % 8:  # found across two hashes: look on
        at = profile.ids.find(event_hash, at + 1)
    return at >= 0


def _covered(profile: Profile, event: Event, raw: Place) -> bool:
    mark = profile.sources.get(raw.partition)
    return mark is not None and mark.covers(raw.offset, event.received_ms)


def _heard(profile: Profile, event: Event, raw: Place | None) -> Profile:
    """Remember where a copy came from: it may be published again once its id is forgotten."""
    if raw is None or _covered(profile, event, raw):
        return profile
    return msgspec.structs.replace(
        profile, sources=_advance(profile.sources, raw, event.received_ms)
    )


def _watch(
    profile: Profile,
    event: Event,
    steps: tuple[Step, ...],
    interests: Interests,
    model: InterestModel,
) -> tuple[ShiftState, InterestShift | None]:
    space, detector, config = model
    before = profile.shift
    now = divergence(interests)
    detector_state, risen = detector.step(before.detector, now)
    agreed = config.shift_agree_events if risen else max(0, before.agreed - 1)
    quiet = ShiftState(
        detector_state,
        now,
        max(0, before.cooldown - 1),
        before.count,
        before.last_ms,
        before.last_to,
        agreed,
    )
    if before.cooldown or len(steps) < LEAST_PAST + LEAST_RECENT:
        return quiet, None
    facts = space.facts_of([step.item_id for step in steps])
    enough = config.shift_evidence_agreed if agreed else config.shift_evidence
    if evidence(likeness(facts), config.shift_window_events, enough) < enough:
        return quiet, None
    window = config.shift_window_events
    recent = zip(steps[-window:], facts[-window:], strict=True)
    move = moved(
        [item.category for item in facts[:-window]],
        [(step.item_id, item.category) for step, item in recent],
    )
    if move is None:
        return quiet, None
    report = InterestShift(
        user_id=event.user_id,
        event_id=event.event_id,
        ts_ms=event.ts_ms,
        from_category=move.from_category,
        to_category=move.to_category,
        divergence=now,
        usual_divergence=before.detector.mean,
        user_events=profile.events + 1,
        received_ms=event.received_ms,
        evidence=move.evidence,
    )
    return (
        ShiftState(
            detector=detector_state,
            divergence=now,
            cooldown=config.shift_cooldown_events,
            count=before.count + 1,
            last_ms=event.ts_ms,
            last_to=move.to_category,
        ),
        report,
    )


def _prefer(known: dict[str, int], name: str, weight: float) -> dict[str, int]:
    """Let all preferences fade and one grow: thousandths, in whole numbers, of which 8 are kept."""
    if not name:
        return known
    faded = {key: value * _KEEP_PERMILLE // 1000 for key, value in known.items()}
    faded[name] = faded.get(name, 0) + round(1000 * weight)
    if len(faded) > _MAX_PREFERENCES:
        del faded[min(faded, key=lambda key: (key == name, faded[key], key))]
    return faded


def _top(preferences: dict[str, int]) -> str:
    return max(preferences, key=lambda key: (preferences[key], key), default="")


def _advance(sources: dict[int, Mark], raw: Place | None, received_ms: int) -> dict[int, Mark]:
    if raw is None:
        return sources
    others = {key: mark for key, mark in sources.items() if key != raw.partition}
    while len(others) >= _MAX_SOURCES:
        del others[next(iter(others))]  # the one that was used longest ago
    others[raw.partition] = sources.get(raw.partition, Mark()).upto(raw.offset, received_ms)
    return others


def _time(step: Step) -> int:
    return step.ts_ms
