"""What the online store would have said after each event: the past, for whoever trains on it.

Pure: events and a catalogue in, rows out. A row stands for the time from its user's newest event on
(`updated_ms`), as in the online store. So a row "as of" a time knows no later event, and of those
that came late it knows what was known then.

The catalogue is that of today, whose items are as they are now: what a price or a category was when
an event came is not kept anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace
from features.profile import InterestModel, apply_all, features
from features.profile_state import EMPTY, Profile
from features.store import UserFeatures
from features.words import Describer
from stream.events import Event

_USERS_AT_ONCE = 1_000

_Events = list[tuple[int, Event]]


def feature_history(
    events: Iterable[tuple[int, Event]],
    catalog: Catalog,
    interest: InterestConfig,
    until_ms: int | None = None,
) -> Iterator[UserFeatures]:
    """Yield a row of a user after each of their events; a user's rows come in order.

    Parameters
    ----------
    events
        In the order of `events`, each with its offset; a user's offsets grow. What comes twice
        counts once.
    until_ms
        Rows as of later times aren't wanted.
    """
    by_user: dict[str, _Events] = {}
    over: set[str] = set()
    for offset, event in events:
        user_id = event.user_id
        if until_ms is not None and event.ts_ms > until_ms:
            over.add(user_id)  # all later rows have a later time, those of late events too
        if user_id not in over:
            by_user.setdefault(user_id, []).append((offset, event))
    model = InterestModel(ItemSpace(catalog), PageHinkleyDetector(interest), interest)
    describer = Describer(model) if interest.describe else None
    users = list(by_user)
    for start in range(0, len(users), _USERS_AT_ONCE):
        part = {user_id: by_user[user_id] for user_id in users[start : start + _USERS_AT_ONCE]}
        yield from _rows(part, model, describer)


def _rows(
    by_user: dict[str, _Events], model: InterestModel, describer: Describer | None
) -> Iterator[UserFeatures]:
    """The n-th events of all users at once: vectors are pulled together."""
    profiles: dict[str, Profile] = dict.fromkeys(by_user, EMPTY)
    for n in range(max(map(len, by_user.values()), default=0)):
        now = {user_id: events[n : n + 1] for user_id, events in by_user.items() if n < len(events)}
        users = [(profiles[user_id], events) for user_id, events in now.items()]
        applied = apply_all(users, 0, model)
        after = [done.profile for done in applied]
        if describer is not None:
            after = [profile for profile, _ in describer.after(now, users, applied, 0)]
        for user_id, profile, done in zip(now, after, applied, strict=True):
            profiles[user_id] = profile
            if done.examples:
                yield features(user_id, profile)
