"""What became of every record that the shop sent: each has exactly one fate.

```
raw record ─┬─ its event is the first of its user and id on `events` ─► accepted
            ├─ `dead-letters` names its place                        ─► dead letter
            ├─ its user and id were accepted from another record     ─► duplicate
            └─ none of these                                         ─► lost
```

A role that is killed may write an event or a dead letter again. That is why fates are decided by
place and by id, never by counting what lies on a topic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EventKey = tuple[str, str]
"""A user and the id of one of their events."""


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Sent(NamedTuple):
    """A raw record: where it lies, and whose event it says it is, if it can be read at all."""

    place: Place
    key: EventKey | None


@dataclass
class Fates:
    """How many records had which fate; which ones were lost."""

    accepted: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    lost: list[Place] = field(default_factory=list)

    @property
    def events(self) -> int:
        """All of them."""
        return self.accepted + self.duplicates + self.dead_letters + len(self.lost)

    def __add__(self, other: Fates) -> Fates:
        """The fates of two sets of records."""
        return Fates(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.dead_letters + other.dead_letters,
            self.lost + other.lost,
        )


def source_name(place: Place) -> str:
    """A place as `Event.source` spells it.

    >>> source_name(Place("tidemill.clicks", 0, 17))
    'tidemill.clicks-0-17'
    """
    return f"{place.topic}-{place.partition}-{place.offset}"


def decide(
    sent: Iterable[Sent], accepted: Mapping[EventKey, str], refused: Collection[Place]
) -> Fates:
    """Give every raw record its fate.

    Parameters
    ----------
    sent
        The raw records.
    accepted
        For each event on `events`, the `source` from which it was written first.
    refused
        The places that dead letters name.

    Examples
    --------
    >>> first, again, broken = (Place("clicks", 0, offset) for offset in range(3))
    >>> fates = decide(
    ...     [Sent(first, ("u", "e")), Sent(again, ("u", "e")), Sent(broken, None)],
    ...     accepted={("u", "e"): "clicks-0-0"}, refused={broken})
    >>> fates.accepted, fates.duplicates, fates.dead_letters, fates.lost
    (1, 1, 1, [])
    """
    fates = Fates()
    sources = set(accepted.values())
    for record in sent:
        if source_name(record.place) in sources:
            fates.accepted += 1
        elif record.place in refused:
            fates.dead_letters += 1
        elif record.key in accepted:
            fates.duplicates += 1
        else:
            fates.lost.append(record.place)
    return fates
