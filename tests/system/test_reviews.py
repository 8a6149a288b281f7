"""The command that lists what the reader of reviews doubts, on a real broker."""

from __future__ import annotations

import json

import pytest

from infra import cli
from infra.replay import Sender
from stream.connect import KafkaConfig
from stream.events import Event, Reading, json_encode
from stream.publish import partition_of


def written(offset: int, text: str) -> Event:
    return Event(
        event_id=f"e{offset}",
        user_id="ada",
        item_id=f"pot-{offset}",
        kind="review",
        ts_ms=1_000 * offset,
        source=f"reviews-0-{offset}",
        received_ms=1_000 * offset,
        text=text,
    )


def read(
    event: Event, partition: int, offset: int, doubt: float, *, stars: float | None
) -> Reading:
    return Reading(
        event_id=event.event_id,
        user_id=event.user_id,
        item_id=event.item_id,
        ts_ms=event.ts_ms,
        received_ms=event.received_ms,
        partition=partition,
        offset=offset,
        rating=3.0,
        sentiment="neutral",
        doubt=doubt,
        stars=stars,
    )


def test_the_most_doubted_come_first_with_their_words(
    kafka_config: KafkaConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    partition = partition_of(b"ada", kafka_config.partitions)
    events = [written(n, f"review number {n}") for n in range(4)]
    # The last one's event is not there any more; the second has stars.
    doubts = [0.2, 0.9, 0.7, 0.8]
    sender = Sender(kafka_config)
    try:
        for n, (event, doubt) in enumerate(zip(events, doubts, strict=True)):
            if n < 3:
                sender.send("events", b"ada", json_encode(event))
            reading = read(event, partition, n, doubt, stars=5.0 if n == 1 else None)
            sender.send("readings", b"ada", json_encode(reading))
        sender.flush()
    finally:
        sender.close()

    def listed(*options: str) -> list[tuple[str, str]]:
        where = ["--bootstrap-servers", str(kafka_config.bootstrap_servers)]
        where += ["--prefix", kafka_config.topic_prefix]
        assert cli.run(["reviews", "uncertain", *where, "--json", *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [(one["event_id"], one["text"]) for one in map(json.loads, lines)]

    unrated = [("e3", ""), ("e2", "review number 2"), ("e0", "review number 0")]
    assert listed() == unrated
    assert listed("--newest", "1") == unrated[:1]
    assert listed("--rated") == [("e1", "review number 1"), *unrated]
