"""Where exports read from: the topics of a running shop, or a recorded log.

Users who are to be forgotten, and those who have opted out, are left out, whatever is still there
of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from features.catalog import Catalog
from features.catalog_follow import take_records
from infra.demo.reading import read_topic
from infra.evaluation_run import load_catalogue, load_events
from infra.people import read_people
from learner.config import LearnerConfig
from stream.batching import Record
from stream.connect import KafkaConfig
from stream.events import Event, ItemVector, decode_event
from stream.formats import Log
from stream.tenants import tenant_of
from stream.topics import Topics


class Source(NamedTuple):
    """Events with their offsets, in the order of `events`, and the items that they are about."""

    events: list[tuple[int, Event]]
    catalog: Catalog


def from_topics(kafka: KafkaConfig, tenant: str, width: int) -> Source:
    """What the topics hold of one shop; ids carry the shop, as they do inside."""
    people = read_people(kafka, tenant)
    events = [
        (placed.place.offset, event)
        for placed in read_topic(kafka, Topics(kafka.topic_prefix).events)
        if tenant_of((event := decode_event(placed.record.value or b"")).user_id) == tenant
        and people.tell_of(event.user_id, event.received_ms)
    ]
    return Source(events, catalog_of(kafka, tenant, width))


def from_log(log: Log, config: LearnerConfig) -> Source:
    """A recorded log, its items' texts encoded."""
    events = load_events(log)
    return Source(list(enumerate(events)), load_catalogue(log, events, config))


def catalog_of(kafka: KafkaConfig, tenant: str, width: int) -> Catalog:
    """The items of one shop, as `item-vectors` holds them."""
    catalog = Catalog(width)
    take_records(catalog, list(_items(kafka, tenant)))
    return catalog


def items_of(catalog: Catalog) -> list[ItemVector]:
    """All items, those that aren't on sale included."""
    return [catalog.item(row) for row in range(len(catalog))]


def _items(kafka: KafkaConfig, tenant: str) -> Iterator[Record]:
    for placed in read_topic(kafka, Topics(kafka.topic_prefix).item_vectors):
        if tenant_of((placed.record.key or b"").decode()) == tenant:
            yield placed.record
