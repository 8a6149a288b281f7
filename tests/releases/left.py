"""What a stopped stack leaves: its topics, how far its groups have read, and its data folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from infra.demo.reading import read_topic
from infra.topic_admin import connect, partition_counts
from stream.connect import KafkaConfig

FOLDER = Path(__file__).parent
"""One `<release>.tar.xz` for each."""

GROUPS = ("ingest-profile", "learner", "serving")
SEND_S = 30.0


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A record. Without gaps its offset is its number in the list of its partition; there are gaps
    where answers were sent in transactions, on topics that no group of ours reads."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int


class Left(msgspec.Struct, frozen=True):
    """Names are without prefix; a partition's place is `<topic>-<partition>`."""

    topics: dict[str, dict[str, str]]
    records: dict[str, list[Kept]]
    committed: dict[str, dict[str, int]]


def releases() -> list[str]:
    """The releases whose remains are kept, oldest first."""
    return sorted(path.name.removesuffix(".tar.xz") for path in FOLDER.glob("*.tar.xz"))


def take_out(
    kafka: KafkaConfig, *topics: str, changelogs: Mapping[str, dict[str, str]] | None = None
) -> Left:
    """Read some topics, or all under the prefix; `changelogs` are Faust's, with their settings."""
    with connect(kafka) as admin:
        mine = [name for name in admin.list_topics() if name.startswith(kafka.topic_prefix)]
        names = [f"{kafka.topic_prefix}{topic}" for topic in topics] or mine
        counts = partition_counts(admin, names)
        places = [TopicPartition(name, p) for name, count in counts.items() for p in range(count)]
        found = admin.list_group_offsets({f"{kafka.topic_prefix}{name}": places for name in GROUPS})
    committed = {
        group: {_place(kafka, at): mark.offset for at, mark in marks.items() if mark.offset >= 0}
        for group, marks in zip(GROUPS, found.values(), strict=True)
    }
    records: dict[str, list[Kept]] = {_place(kafka, at): [] for at in places}
    for name in names:
        for place, record in read_topic(kafka, name):
            kept = Kept(record.key, record.value, list(record.headers), record.timestamp)
            records[_place(kafka, TopicPartition(place.topic, place.partition))].append(kept)
    known = changelogs or {}
    made = {name.removeprefix(kafka.topic_prefix): known.get(name, {}) for name in names}
    return Left(made, records, committed)


def put_back(kafka: KafkaConfig, left: Left) -> None:
    """Fill empty topics with what was read, at the same offsets, and set the groups' marks."""
    producer = KafkaProducer(**kafka.client_settings(), acks="all")
    for place, records in left.records.items():
        topic, _, partition = place.rpartition("-")
        for number, kept in enumerate(records):
            sent = producer.send(
                f"{kafka.topic_prefix}{topic}",
                kept.value,
                kept.key,
                headers=kept.headers,
                partition=int(partition),
                timestamp_ms=kept.timestamp_ms,
            )
            if number == len(records) - 1:
                producer.flush(SEND_S)
                assert sent.get(SEND_S).offset == number, f"{place} was not empty"
    producer.close()
    for group, marks in left.committed.items():
        consumer = KafkaConsumer(
            **kafka.client_settings(),
            group_id=f"{kafka.topic_prefix}{group}",
            enable_auto_commit=False,
        )
        places = {
            TopicPartition(
                f"{kafka.topic_prefix}{place.rpartition('-')[0]}", int(place.rpartition("-")[2])
            ): OffsetAndMetadata(offset, "", -1)
            for place, offset in marks.items()
        }
        consumer.assign(list(places))
        consumer.commit(places)
        consumer.close(autocommit=False)


def pack(path: Path, left: Left, data_dir: Path, folders: tuple[str, ...]) -> None:
    """Write one archive: `left.msgpack`, and the folders below `data/`."""
    text = msgspec.msgpack.encode(left)
    with tarfile.open(path, "w:xz", preset=9) as to:
        entry = tarfile.TarInfo("left.msgpack")
        entry.size = len(text)
        to.addfile(entry, io.BytesIO(text))
        for folder in folders:
            to.add(data_dir / folder, f"data/{folder}")


def unpack(release: str, into: Path) -> Left:
    """Lay an archive's folders out in `into`, and return the rest of it."""
    with tarfile.open(FOLDER / f"{release}.tar.xz") as packed:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and newer; the archive is our own
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(into)  # noqa: S202
    return msgspec.msgpack.decode((into / "left.msgpack").read_bytes(), type=Left)


def _place(kafka: KafkaConfig, at: TopicPartition) -> str:
    return f"{at.topic.removeprefix(kafka.topic_prefix)}-{at.partition}"
