"""What `tidemill describe` says: an item's facts from topics or from a file, and a text of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from infra.demo.reading import read_topic
from learner.texts.checker import Fault, faults
from learner.texts.config import TextsConfig
from learner.texts.facts import Facts, facts_of
from learner.texts.hearing import Hearing
from learner.texts.speaker import make_speaker
from stream.batching import PlainRecord, Record
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Halt
from stream.events import Item
from stream.parse import parse_event, parse_item
from stream.tenants import ONE_SHOP, inside, item_key, outside
from stream.topics import Topics


def read_facts(
    kafka: KafkaConfig,
    item_id: str,
    reason: str,
    config: TextsConfig,
    tenants: Collection[str] = ONE_SHOP,
) -> Facts:
    """The facts of an item that is on sale, by its whole id, from `items` and `reviews`.

    Raises
    ------
    Halt
        If no item has this id.
    Unavailable
        If the broker stops answering.
    """
    topics = Topics(kafka.topic_prefix)
    item = newest((record for _, record in read_topic(kafka, topics.items)), item_id, tenants)
    if item is None:
        tenant, name = outside(item_id)
        msg = f"{topics.items} holds no item {name!r}" + (f" of {tenant}" if tenant else "")
        raise Halt(msg)
    hearing = Hearing(config.language, config.agreement)
    for _, record in read_topic(kafka, topics.reviews):
        hear(hearing, record, item_id, tenants)
    return facts_of(item, reason, hearing.heard(item_id))


def read_facts_from(path: Path, item_id: str, reason: str) -> Facts:
    """The same from a file of items in JSON lines; without reviews."""
    lines = path.read_bytes().splitlines()
    item = newest((PlainRecord(None, line, 0) for line in lines if line.strip()), item_id)
    if item is None:
        msg = f"{path} holds no item {item_id!r}"
        raise Halt(msg)
    return facts_of(item, reason)


def newest(
    records: Iterable[Record], item_id: str, tenants: Collection[str] = ONE_SHOP
) -> Item | None:
    """The newest state of an item, `None` if it was deleted or never there."""
    found: Item | None = None
    key = item_key(*outside(item_id)).encode()
    for record in records:
        if record.value is None:
            if record.key == key:
                found = None
            continue
        try:
            item = parse_item(record, tenants)
        except BadRecord:
            continue
        if inside(item.tenant, item.item_id) == item_id:
            found = item
    return found


def hear(
    hearing: Hearing, record: Record, item_id: str, tenants: Collection[str] = ONE_SHOP
) -> None:
    """Take in a record of `reviews`, if it is of the item and can be read."""
    try:
        at_ms = record.timestamp
        event = parse_event("reviews", record.value, "", at_ms, at_ms, tenants=tenants)
    except BadRecord:
        return
    if event.item_id == item_id:
        hearing.hear(item_id, event.user_id, f"{event.title}. {event.text}")


def described(facts: Facts, sentences: int, config: TextsConfig, seed: int) -> str:
    """A text of facts, by the model of the settings or by templates."""
    return make_speaker(config, seed).describe(facts, sentences)


def faults_of(text: str, facts: Facts, config: TextsConfig) -> list[Fault]:
    """What of a text the facts don't support."""
    return faults(text, facts, config.language)
