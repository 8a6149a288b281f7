"""Raw records against `events` and `dead-letters`, and events against `examples`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from stream.events import Event, Example, decode_example
from tests.chaos.findings import Findings
from tests.chaos.reference import EventKey, Reference
from tests.chaos.reference_raw import Said
from tests.chaos.topic_log import Logged


class Letters:
    """The dead letters, by the place of the record that each of them wraps."""

    def __init__(self, letters: Iterable[Logged]) -> None:
        self.by_place: dict[str, list[Logged]] = defaultdict(list)
        for letter in letters:
            headers = dict(letter.headers)
            place = [headers.get(f"__connect.errors.{part}") or b"" for part in _PLACE]
            self.by_place[b"-".join(place).decode(errors="replace")].append(letter)

    def of(self, record: Logged) -> list[Logged]:
        """Those of one record."""
        return self.by_place.get(record.name, [])


_PLACE = ("topic", "partition", "offset")


def judge_fates(
    said: Iterable[Said], letters: Letters, reference: Reference, findings: Findings
) -> None:
    """Every raw record is accepted, a duplicate, or a dead letter: exactly one of them."""
    copies: dict[str, list[Event]] = defaultdict(list)
    for event in reference.copies:
        copies[event.source].append(event)
    accepted = {event.source for event, _ in reference.first.values()}
    for raw in said:
        findings.counts["events"] += 1
        mine, refused = copies.pop(raw.source, []), letters.of(raw.record)
        where = f"{raw.record.name} ({shown(raw.record.value)})"
        if raw.faults:
            _judge_faulty(raw, where, refused, bool(mine), findings)
            continue
        if refused:
            findings.counts["dead_letters"] += 1
            reason = (dict(refused[0].headers).get("tidemill.dlq.reason") or b"").decode()
            findings.note("state_mismatches", f"{where} is right, and a dead letter: {reason}")
            if mine:
                findings.note("double", f"{where} is a dead letter, and on `events` too")
        elif raw.key not in reference.first:
            findings.note("lost", f"{where} has no fate")
        elif raw.source in accepted:
            findings.counts["accepted"] += 1
        else:
            findings.counts["duplicates"] += 1
        for event in mine:
            if wrong := _unlike(raw, event):
                findings.note("state_mismatches", f"{where} on `events` has another {wrong}")
    for source in copies:
        findings.note("state_mismatches", f"an event of {source}, which nobody sent")


def _judge_faulty(
    raw: Said, where: str, refused: list[Logged], on_events: bool, findings: Findings
) -> None:
    if on_events:
        findings.note("state_mismatches", f"{where} is on `events` in spite of {set(raw.faults)}")
    if not refused:
        findings.note("lost", f"{where} should be a dead letter for {set(raw.faults)}")
        return
    findings.counts["dead_letters"] += 1
    for letter in refused:
        headers = dict(letter.headers)
        reason = (headers.get("tidemill.dlq.reason") or b"").decode()
        if reason not in raw.faults:
            wanted = set(raw.faults)
            findings.note("state_mismatches", f"{where} refused for {reason!r}, not {wanted}")
        # Very long ones are cut, and say so.
        cut = (headers.get("tidemill.dlq.cut") or b"").split()
        if letter.value != raw.record.value and b"value" not in cut:
            findings.note("state_mismatches", f"{where} has other bytes as a dead letter")
        if headers.get("tidemill.dlq.key") != raw.record.key and b"key" not in cut:
            findings.note("state_mismatches", f"{where} has another key as a dead letter")


def judge_examples(
    examples: Iterable[Logged], reference: Reference, findings: Findings
) -> dict[EventKey, Example]:
    """Every event has one example, however often it is written; returns the first of each."""
    first: dict[EventKey, Example] = {}
    partitions: dict[EventKey, int] = {}
    for record in examples:
        example = decode_example(record.value or b"")
        key = (example.user_id, example.event_id)
        key = reference.again.get((example.partition, example.offset), key)
        known, wanted = first.setdefault(key, example), reference.examples.get(key)
        partitions.setdefault(key, record.partition)
        if (known.partition, known.offset) != (example.partition, example.offset):
            findings.note(
                "double", f"{key} has examples of {_place(known)} and of {_place(example)}"
            )
        elif wanted is None:
            findings.note("double", f"the example {record.name} is of no event: {key}")
        elif example != wanted:
            wrong = [
                f"{name} {shown(getattr(example, name))}, not {shown(getattr(wanted, name))}"
                for name in Example.__struct_fields__
                if getattr(example, name) != getattr(wanted, name)
            ]
            findings.note("state_mismatches", f"the example {record.name} of {key}: {wrong[0]}")
        if partitions[key] != record.partition:
            findings.note("state_mismatches", f"{key} has examples on two partitions")
    for key in reference.examples.keys() - first.keys():
        findings.note("lost", f"{key} is on `events`, and has no example")
    return first


def shown(value: object, limit: int = 120) -> str:
    """A value in a few words."""
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _place(example: Example) -> str:
    return f"events-{example.partition}-{example.offset}"


def _unlike(raw: Said, event: Event) -> str | None:
    """Name the first field in which an event differs from its raw record."""
    fields: Mapping[str, object] = msgspec.structs.asdict(event)
    for name, value in raw.fields.items():
        if fields[name] != value:
            return f"{name}: {shown(fields[name])}, not {shown(value)}"
    return None
