"""How soon an event shows in answers and in weights, from the topics' own timestamps.

Both clocks start at the Kafka timestamp of the shop's raw record, and both stop at the Kafka
timestamp of the first recommendation that the event could have changed. Events that no later
recommendation took into account have no figure; the number of those that have one is given with
the percentiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Answer(NamedTuple):
    """What freshness needs of one recommendation."""

    user_id: str
    sent_ms: int
    seen_event_id: str | None
    model_version: int | None


class Applied(NamedTuple):
    """What freshness needs of one accepted event, or of the example made from it."""

    user_id: str
    event_id: str
    received_ms: int
    partition: int
    offset: int


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that at least `percent` % of the values don't exceed.

    >>> percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 99), percentile([], 50)
    (2, 4, None)
    """
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def events_to_answers_ms(events: Iterable[Applied], answers: Iterable[Answer]) -> list[int]:
    """Milliseconds from each event to the first answer to its user that takes it into account.

    An answer that names an event as the newest it has seen has seen the user's earlier ones too;
    this is how events that one debounced answer covers get their figure.

    Examples
    --------
    >>> events = [Applied("u", "e1", 100, 0, 0), Applied("u", "e2", 130, 0, 1)]
    >>> events_to_answers_ms(events, [Answer("u", 150, "e2", None)])
    [50, 20]
    """
    order: dict[str, list[Applied]] = {}
    rank: dict[tuple[str, str], int] = {}
    for event in events:
        mine = order.setdefault(event.user_id, [])
        rank.setdefault((event.user_id, event.event_id), len(mine))
        mine.append(event)
    covered: dict[str, int] = {}
    waits = []
    for answer in sorted(answers, key=lambda answer: answer.sent_ms):
        if answer.seen_event_id is None:
            continue
        seen = rank.get((answer.user_id, answer.seen_event_id))
        if seen is None:
            continue
        first = covered.get(answer.user_id, 0)
        for event in order[answer.user_id][first : seen + 1]:
            waits.append(answer.sent_ms - event.received_ms)
        covered[answer.user_id] = max(first, seen + 1)
    return waits


def first_use_ms(answers: Iterable[Answer]) -> dict[int, int]:
    """When an answer was first made with each version or a later one.

    >>> first_use_ms([Answer("u", 10, None, 1), Answer("v", 30, None, 3)])
    {1: 10, 2: 30, 3: 30}
    """
    first: dict[int, int] = {}
    newest: int | None = None
    for answer in sorted(answers, key=lambda answer: answer.sent_ms):
        version = answer.model_version
        if version is None or (newest is not None and version <= newest):
            continue
        for reached in range(version if newest is None else newest + 1, version + 1):
            first[reached] = answer.sent_ms
        newest = version
    return first


def events_to_weights_s(
    examples: Iterable[Applied],
    versions: Mapping[int, Mapping[int, int]],
    answers: Iterable[Answer],
) -> list[float]:
    """Seconds from each event to the first answer made with weights that have learnt it.

    Parameters
    ----------
    examples
        The examples, with their place in `events`.
    versions
        For each published version, the next offset that it hasn't learnt, by partition.
    answers
        The recommendations, with the version that made them.

    Examples
    --------
    >>> examples = [Applied("u", "e1", 0, 0, 0), Applied("u", "e2", 500, 0, 1)]
    >>> versions = {1: {0: 1}, 2: {0: 2}}
    >>> events_to_weights_s(examples, versions, [Answer("u", 1000, None, 1),
    ...                                          Answer("u", 3000, None, 2)])
    [1.0, 2.5]
    """
    used = first_use_ms(answers)
    in_use = [(used[version], versions[version]) for version in sorted(versions) if version in used]
    by_partition: dict[int, list[Applied]] = {}
    for example in examples:
        by_partition.setdefault(example.partition, []).append(example)
    waits = []
    for partition, waiting in sorted(by_partition.items()):
        waiting.sort(key=lambda example: example.offset)
        done = 0
        for used_ms, offsets in in_use:
            until = offsets.get(partition, 0)
            while done < len(waiting) and waiting[done].offset < until:
                waits.append((used_ms - waiting[done].received_ms) / 1000)
                done += 1
    return waits
