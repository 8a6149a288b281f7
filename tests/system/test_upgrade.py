"""What an earlier release left in its folder and on its topics, and this one goes on from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from features.store_feast import FeastStore
from infra.broker import EmbeddedKafka
from infra.lag import lag
from infra.roles import ROLES
from infra.settings import Settings
from infra.topic_admin import connect, create_topics
from infra.wiring import store_config
from stream.batching import PlainRecord
from stream.connect import KafkaConfig
from stream.errors import BadRecord
from stream.events import (
    AdapterVersion,
    decode_adapter,
    decode_event,
    decode_example,
    decode_recommendation,
)
from stream.parse import parse_request
from tests.releases.keep import child, small_settings, wait_for
from tests.releases.left import Left, put_back, releases, take_out, unpack


@pytest.mark.parametrize("release", releases())
def test_a_release_goes_on_where_an_earlier_one_stopped(release: str, tmp_path: Path) -> None:
    before = unpack(release, tmp_path)
    data_dir = tmp_path / "data"
    with EmbeddedKafka(tmp_path / "broker") as broker:
        settings = small_settings(broker.bootstrap_servers, data_dir)
        kafka = settings.section(KafkaConfig)
        make_topics(kafka, before)
        put_back(kafka, before)
        roles = {role: child(role, settings, data_dir) for role in ROLES}
        try:
            wait_for(lambda: all(role.ready() for role in roles.values()), "the start")
            wait_for(lambda: not any(lag(kafka).values()), "reading to the end")
            ends = next_offsets(take_out(kafka, "examples"))
            wait_for(lambda: newest_version(kafka).offsets == ends, "learning all of it")
        finally:
            for role in reversed(roles.values()):
                role.ask_to_stop()
            clean = {name: role.end(60) for name, role in roles.items()}
        assert all(clean.values()), clean
        after = take_out(kafka)

    # There was something to go on from, and something to do.
    assert 0 < len(distinct_events(before)) < len(distinct_events(after))
    # Every user's row counts what the older release counted, and what this one read.
    expected = Counter(user_id for user_id, _ in distinct_events(after))
    assert counted(settings, list(expected)) == dict(expected)
    # The learner went on from its checkpoint, and nothing counts twice in it.
    assert 0 < newest(before).learnt < newest(after).learnt <= sum(expected.values())
    # Requests of before and after are answered.
    assert asked(after) <= answered(after)
    assert not asked(before) <= answered(before)


def make_topics(kafka: KafkaConfig, left: Left) -> None:
    """Create all topics; what is old by the calendar is not thrown away."""
    create_topics(kafka)
    with connect(kafka) as admin:
        there = set(admin.list_topics())
        names = {f"{kafka.topic_prefix}{name}": config for name, config in left.topics.items()}
        admin.create_topics(
            {
                name: {"num_partitions": 2, "replication_factor": 1, "configs": config}
                for name, config in names.items()
                if name not in there
            }
        )
        kept = [name for name, config in names.items() if "cleanup.policy" not in config]
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, n, {"retention.ms": "-1"}) for n in kept]
        )


def records(left: Left, topic: str) -> list[bytes]:
    """The values of a topic, partition by partition."""
    places = sorted(place for place in left.records if place.rpartition("-")[0] == topic)
    return [kept.value for place in places for kept in left.records[place] if kept.value]


def distinct_events(left: Left) -> set[tuple[str, str]]:
    """Who did what, copies left out."""
    events = map(decode_event, records(left, "events"))
    return {(event.user_id, event.event_id) for event in events}


def counted(settings: Settings, users: list[str]) -> dict[str, int]:
    """How many events each user's row in the online store counts."""
    store = FeastStore(store_config(settings))
    try:
        rows = store.read(users)
    finally:
        store.close()
    return {row.user_id: row.events for row in rows if row is not None}


def newest(left: Left) -> AdapterVersion:
    """The newest model version."""
    return max(map(decode_adapter, records(left, "adapters")), key=lambda made: made.version)


def next_offsets(left: Left) -> dict[str, int]:
    """What a version says that has learnt everything: after the last example, by partition."""
    ends: dict[str, int] = {}
    for example in map(decode_example, records(left, "examples")):
        place = str(example.partition)
        ends[place] = max(ends.get(place, 0), example.offset + 1)
    return ends


def newest_version(kafka: KafkaConfig) -> AdapterVersion:
    """The newest model version on the broker."""
    return newest(take_out(kafka, "adapters"))


def asked(left: Left) -> set[str]:
    """The ids of the requests that can be read."""
    ids = set()
    for value in records(left, "requests"):
        try:
            ids.add(parse_request(PlainRecord(None, value, 0)).request_id)
        except BadRecord:
            continue
    return ids


def answered(left: Left) -> set[str | None]:
    """The ids of the requests that have an answer."""
    return {decode_recommendation(v).request_id for v in records(left, "recommendations")}
