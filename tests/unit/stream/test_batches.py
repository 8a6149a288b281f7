"""A batch that is filled at once holds what aiokafka's own calls would have put there."""

from __future__ import annotations

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream.batches import by_partition, fill
from stream.murmur import MANY
from stream.outgoing import Outgoing


def read(batch: BatchBuilder) -> list[tuple[object, ...]]:
    batches = MemoryRecords(bytes(batch._build()))
    found: list[tuple[object, ...]] = []
    while batches.has_next():
        for record in batches.next_batch():
            headers = tuple(record.headers)
            found.append((record.offset, record.timestamp, record.key, record.value, headers))
    return found


RECORDS = [
    Outgoing(b"ann", b"one", timestamp_ms=5),
    Outgoing(None, b"two", (("trace", b"x"), ("empty", None)), timestamp_ms=6),
    Outgoing(b"bob", None, timestamp_ms=4),
]


def test_it_holds_the_records_whole_and_in_order() -> None:
    ours, theirs = BatchBuilder(1_000, 0), BatchBuilder(1_000, 0)
    assert fill(ours, RECORDS) == ours.record_count() == len(RECORDS)
    for record in RECORDS:
        theirs.append(
            timestamp=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )
    assert read(ours) == read(theirs)


def test_it_is_closed_when_full_and_says_where_to_go_on() -> None:
    many = [Outgoing(b"u", b"x" * 100, timestamp_ms=n) for n in range(30)]
    at, found = 0, list[object]()
    while at < len(many):
        batch = BatchBuilder(1_000, 0)
        count = fill(batch, many, at)
        assert 0 < count < 10
        assert batch.closed()
        found += [timestamp for _, timestamp, *_ in read(batch)]
        at += count
    assert found == list(range(30))


def test_one_that_is_larger_than_a_batch_has_one_of_its_own() -> None:
    many = [Outgoing(b"u", b"x" * size, timestamp_ms=1) for size in (10, 5_000, 10)]
    counts: list[int] = []
    while sum(counts) < len(many):
        counts.append(fill(BatchBuilder(1_000, 0), many, sum(counts)))
    assert counts == [1, 1, 1]


def test_many_records_are_parted_as_few_are() -> None:
    many = [Outgoing(b"u%d" % n if n % 5 else None, b"%d" % n) for n in range(2 * MANY)]
    many[7] = Outgoing(b"u7", b"7", partition=1)
    parted = by_partition(many, 4, 2)
    for place, group in parted.items():
        numbers = [int(one.value or b"") for one in group]
        assert numbers == sorted(numbers)
        for one in group:
            assert by_partition([one], 4, 2) == {place: [one]}
    assert sum(map(len, parted.values())) == len(many)
