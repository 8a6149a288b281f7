"""The publisher and the broadcast reader against a real broker."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from infra.broker import EmbeddedKafka
from stream.batching import Record
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.outgoing import Outgoing, RecordTooLarge
from stream.publish import PublishConfig, Publisher, partition_of

NOBODY = KafkaConfig(bootstrap_servers="127.0.0.1:1")


def publish(
    kafka: KafkaConfig, topic: str, records: Sequence[Outgoing], config: PublishConfig | None = None
) -> None:
    async def send() -> None:
        publisher = Publisher(kafka, config)
        await publisher.start()
        try:
            await publisher.publish(topic, records)
        finally:
            await publisher.stop()

    asyncio.run(send())


def read(kafka: KafkaConfig, topic: str, count: int) -> list[Record]:
    """Return a topic's first records, each partition in order."""
    found: list[Record] = []
    consumer = KafkaConsumer(topic, **kafka.client_settings(), auto_offset_reset="earliest")
    while len(found) < count:
        found += itertools.chain.from_iterable(consumer.poll(timeout_ms=200).values())
    consumer.close()
    return found


def make(kafka: KafkaConfig, name: str, config: dict[str, str]) -> str:
    """Create a topic of the test's own and return its full name."""
    topic = f"{kafka.topic_prefix}{name}"
    with closing(KafkaAdminClient(**kafka.client_settings())) as admin:
        admin.create_topics([NewTopic(topic, kafka.partitions, 1, None, config)])
        admin.wait_for_topics([topic])
    return topic


# Publisher -------------------------------------------------------------------------------------


def test_records_arrive_whole_in_order_and_where_java_clients_put_them(
    kafka_config: KafkaConfig,
) -> None:
    topic = f"{kafka_config.topic_prefix}events"
    headers = (("source", b"test"),)
    records = [
        Outgoing(b"u%d" % (n % 7), b"%d" % n, headers, None, 1_000 + n) for n in range(5_000)
    ]
    publish(kafka_config, topic, records, PublishConfig(max_batch_bytes=4_096))
    found = read(kafka_config, topic, len(records))
    producer = KafkaProducer(**kafka_config.client_settings())
    for number in range(7):
        key = b"u%d" % number
        mine = [record for record in found if record.key == key]
        assert [record.value for record in mine] == [b"%d" % n for n in range(number, 5_000, 7)]
        assert [record.timestamp for record in mine] == list(range(1_000 + number, 6_000, 7))
        place = producer.send(topic, b"", key).get(10).partition
        assert partition_of(key, kafka_config.partitions) == place
        assert {record.partition for record in mine} == {place}  # type: ignore[attr-defined]
    producer.close()
    assert all(tuple(record.headers) == headers for record in found)


def test_a_record_without_key_goes_somewhere_and_a_given_partition_is_obeyed(
    kafka_config: KafkaConfig,
) -> None:
    topic = f"{kafka_config.topic_prefix}events"
    publish(kafka_config, topic, [Outgoing(None, b"a"), Outgoing(b"u1", b"b", partition=3)])
    found = {record.value: record for record in read(kafka_config, topic, 2)}
    assert found[b"b"].partition == 3  # type: ignore[attr-defined]
    assert found[b"a"].key is None


def test_a_record_over_our_limit_is_named_before_anything_is_sent(
    kafka_config: KafkaConfig,
) -> None:
    topic = f"{kafka_config.topic_prefix}events"
    large = Outgoing(b"big", b"x" * 2_000_000)
    with pytest.raises(RecordTooLarge, match="at most 1000000 bytes") as caught:
        publish(kafka_config, topic, [Outgoing(b"small", b"x"), large])
    assert caught.value.record is large
    assert caught.value.reason == "too_large"
    with closing(KafkaConsumer(**kafka_config.client_settings())) as consumer:
        places = [TopicPartition(topic, p) for p in range(kafka_config.partitions)]
        assert set(consumer.end_offsets(places).values()) == {0}


def test_a_record_over_the_topics_own_limit_is_named_among_its_batch(
    kafka_config: KafkaConfig,
) -> None:
    topic = make(kafka_config, "narrow", {"max.message.bytes": "2000"})
    records = [Outgoing(b"u", b"%d" % n * 100, partition=0) for n in range(3)]
    records[1] = Outgoing(b"big", b"x" * 3_000, partition=0)
    plain = PublishConfig(compression="none")
    with pytest.raises(RecordTooLarge) as caught:
        publish(kafka_config, topic, records, plain)
    assert (caught.value.index, caught.value.record) == (1, records[1])
    publish(kafka_config, topic, [records[0], records[2]], plain)
    values = {record.value for record in read(kafka_config, topic, 3)}
    assert values == {b"0" * 100, b"2" * 100}


def test_without_a_broker_it_gives_up_in_bounded_time() -> None:
    config = PublishConfig(attempts=2, backoff_s=0.01, request_timeout_s=1.0)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 did not connect in 2 tries"):
        publish(NOBODY, "events", [Outgoing(b"u", b"x")], config)


# Broadcast -------------------------------------------------------------------------------------


def test_a_broker_that_freezes_is_unavailable_and_then_takes_the_records(
    kafka: EmbeddedKafka, kafka_config: KafkaConfig
) -> None:
    topic = make(kafka_config, "frozen", {})
    assert kafka.pid is not None
    # One try ends while aiokafka still holds the batch, to put it back into its queue.
    config = PublishConfig(request_timeout_s=1.0, attempts=3, backoff_s=0.05)

    async def send() -> None:
        publisher = Publisher(kafka_config, config)
        await publisher.publish(topic, [Outgoing(b"u1", b"before")])
        os.kill(kafka.pid or 0, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match="did not publish 1 records .*in 3 tries"):
                await publisher.publish(topic, [Outgoing(b"u1", b"meanwhile")])
        finally:
            os.kill(kafka.pid or 0, signal.SIGCONT)
        await publisher.publish(topic, [Outgoing(b"u1", b"after")])
        await publisher.stop()

    asyncio.run(send())
    values = {record.value for record in read(kafka_config, topic, 2)}
    assert b"before" in values


def test_a_compacted_topic_is_read_whole_and_followed(kafka_config: KafkaConfig) -> None:
    topic = f"{kafka_config.topic_prefix}item-vectors"
    state: dict[bytes | None, bytes | None] = {}
    counts: Counter[bytes | None] = Counter()

    def apply(record: Record) -> None:
        state[record.key] = record.value
        counts[record.key] += 1

    with BroadcastReader(kafka_config, topic) as reader:
        assert reader.load(apply, timeout_s=30) == 0  # no record yet: nothing to wait for
        publish(kafka_config, topic, [Outgoing(b"i%d" % n, b"1") for n in range(500)])
        publish(kafka_config, topic, [Outgoing(b"i7", None), Outgoing(b"i8", b"2")])
        while sum(counts.values()) < 502:
            reader.poll(apply, timeout_s=0.5)
        assert state[b"i7"] is None
        assert state[b"i8"] == b"2"
        assert set(counts.values()) == {1, 2}

    again: dict[bytes | None, bytes | None] = {}
    with BroadcastReader(kafka_config, topic) as other:  # each reader sees all, no group
        other.load(lambda record: again.update({record.key: record.value}), timeout_s=30)
    assert again == state


def test_holes_at_the_beginning_and_the_end_do_not_hold_up_the_load(
    kafka_config: KafkaConfig,
) -> None:
    topic = make(kafka_config, "trimmed", {})
    publish(kafka_config, topic, [Outgoing(b"i%d" % n, b"1", partition=0) for n in range(10)])
    with closing(KafkaAdminClient(**kafka_config.client_settings())) as admin:
        admin.delete_records({TopicPartition(topic, 0): 6})
    producer = KafkaProducer(**kafka_config.client_settings(), transactional_id="markers")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"2", b"i9", partition=0)
    producer.commit_transaction()  # its marker takes the last offset
    producer.close()
    state: dict[bytes | None, bytes | None] = {}
    with BroadcastReader(kafka_config, topic) as reader:
        assert reader.load(lambda r: state.update({r.key: r.value}), timeout_s=30) == 5
    assert state == {b"i6": b"1", b"i7": b"1", b"i8": b"1", b"i9": b"2"}


def test_an_unknown_topic_and_an_absent_broker_are_unavailable(kafka_config: KafkaConfig) -> None:
    for kafka, topic in ((kafka_config, "nobody-made-this"), (NOBODY, "events")):
        started = time.monotonic()
        with pytest.raises(Unavailable, match=topic):
            BroadcastReader(kafka, topic).load(lambda _: None, timeout_s=1.0)
        assert time.monotonic() - started < 10
