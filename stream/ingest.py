"""Ingest without Kafka: a run of raw records → events to publish, dead letters, and the count.

```
record ─► parse ─┬─ refused          ─► dead letter
                 ├─ seen before      ─► dropped, counted
                 └─ an event         ─► `events`, keyed by its user
```

A key is remembered only once its event was published (`done`). Until then it is in flight: another
run's copy is a duplicate already, because the run in flight is never acknowledged without having
published it; a failed run is given up (`abandon`) and may be taken again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta

from stream.batching import Record, Run
from stream.deadletter import dead_letter
from stream.dedup import EventKey, SeenEvents
from stream.errors import BadRecord, Reason
from stream.events import json_encode, json_encode_lines
from stream.outgoing import Outgoing
from stream.parse import TopicKind, parse_event
from stream.parse_together import parse_together
from stream.replayed import source_name, source_of
from stream.tenants import ONE_SHOP

ROLE = "ingest"

TOGETHER = 128
"""Records that are tried in one go. More save little; of fewer, more are free of a bad one."""

_key = attrgetter("user_id", "event_id")


class IngestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ingest remembers."""

    seen_events: Annotated[
        int, Meta(ge=1, description="newest events among which a second copy is recognised")
    ] = 200_000


@dataclass
class IngestResult:
    """What became of a run: every record is in exactly one of the three.

    `events` and `keys` and `places` run in parallel; `places` are positions in the run.
    """

    run: Run
    kind: TopicKind
    events: list[Outgoing] = field(default_factory=list)
    keys: list[EventKey] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    dead_letters: list[Outgoing] = field(default_factory=list)
    refused: Counter[Reason] = field(default_factory=Counter)
    duplicates: int = 0


class Ingest:
    """Turns runs into results.

    Parameters
    ----------
    kinds
        The raw topics by their full names.
    config
        What is remembered.
    tenants
        The shops that records may name as their own.

    Examples
    --------
    >>> from stream.batching import PlainRecord
    >>> ingest = Ingest({"shop.clicks": "clicks"})
    >>> good = b'{"user_id": "ann", "item_id": "tea", "ts": 1777626000000, "event_id": "e1"}'
    >>> run = Run("shop.clicks", 0, [PlainRecord(None, good, 7), PlainRecord(None, b"?", 8)])
    >>> result = ingest.take(run, now_ms=1_777_626_000_000)
    >>> [event.key for event in result.events], result.refused
    ([b'ann'], Counter({'not_json': 1}))
    >>> ingest.done(result)
    >>> ingest.take(run, now_ms=1_777_626_000_000).duplicates
    1
    """

    def __init__(
        self,
        kinds: Mapping[str, TopicKind],
        config: IngestConfig | None = None,
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        self._kinds = dict(kinds)
        self._tenants = tenants
        self._seen = SeenEvents((config or IngestConfig()).seen_events)
        self._in_flight: set[EventKey] = set()

    def take(self, run: Run, now_ms: int) -> IngestResult:
        """Sort out a run; afterwards, `done` or `abandon` its result."""
        result = IngestResult(run, self._kinds[run.topic])
        try:
            self._sort_out(result, now_ms)
        except BaseException:
            self.abandon(result)  # Else its events would be taken for duplicates of themselves.
            raise
        return result

    def _sort_out(self, result: IngestResult, now_ms: int) -> None:
        records = result.run.records
        for start in range(0, len(records), TOGETHER):
            part = records[start : start + TOGETHER]
            if not self._take_together(result, start, part, now_ms):
                self._take_each(result, start, part, now_ms)

    def _take_together(
        self, result: IngestResult, start: int, part: Sequence[Record], now_ms: int
    ) -> bool:
        """Take records that are all good and new; false where they aren't, and nothing is done."""
        run = result.run
        events = parse_together(result.kind, part, run.topic, run.partition, now_ms, self._tenants)
        if events is None:
            return False
        keys: list[EventKey] = list(map(_key, events))
        fresh = set(keys)
        if not (
            len(fresh) == len(keys)
            and self._seen.none_of(fresh)
            and self._in_flight.isdisjoint(fresh)
        ):
            return False
        users = [user_id.encode() for user_id, _ in keys]
        outgoing = list(map(Outgoing, users, json_encode_lines(events).split(b"\n")))
        self._in_flight |= fresh
        result.keys += keys
        result.events += outgoing
        result.places += range(start, start + len(part))
        return True

    def _take_each(
        self, result: IngestResult, start: int, part: Sequence[Record], now_ms: int
    ) -> None:
        run, kind = result.run, result.kind
        topic, partition = run.topic, run.partition
        seen, in_flight = self._seen, self._in_flight
        for place, record in enumerate(part, start):
            received_ms = record.timestamp if 0 < record.timestamp < now_ms else now_ms
            source = source_of(record, topic, partition)
            replayed = bool(record.headers) and source != source_name(
                topic, partition, record.offset
            )
            try:
                event = parse_event(
                    kind,
                    record.value,
                    source,
                    received_ms,
                    now_ms,
                    replayed=replayed,
                    tenants=self._tenants,
                )
            except BadRecord as error:
                self._refuse(result, place, error, now_ms)
                continue
            key = (event.user_id, event.event_id)
            if key in seen or key in in_flight:
                result.duplicates += 1
                continue
            outgoing = Outgoing(event.user_id.encode(), json_encode(event))
            in_flight.add(key)
            result.keys.append(key)
            result.events.append(outgoing)
            result.places.append(place)

    def refuse(self, result: IngestResult, index: int, error: BadRecord, now_ms: int) -> None:
        """Make a dead letter of an event that the broker doesn't take."""
        self._in_flight.discard(result.keys.pop(index))
        del result.events[index]
        self._refuse(result, result.places.pop(index), error, now_ms)

    def done(self, result: IngestResult) -> None:
        """The result is published: from now on, its events are remembered."""
        self._seen.add(result.keys)
        self._in_flight.difference_update(result.keys)

    def abandon(self, result: IngestResult) -> None:
        """The result was not, or only in part, published: its run will be taken again."""
        self._in_flight.difference_update(result.keys)

    def _refuse(self, result: IngestResult, place: int, error: BadRecord, now_ms: int) -> None:
        run = result.run
        result.dead_letters.append(
            dead_letter(run.records[place], run.topic, run.partition, ROLE, error, now_ms)
        )
        result.refused[error.reason] += 1
