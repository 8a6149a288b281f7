"""Vectors of items and users as two parquet files, for other algorithms.

`items.parquet`: the text's vector, and what the newest version has learnt of the item.
`users.parquet`: what a user looks for now and usually, and what the version makes of their history.
A user's `learnt_vector` times an item's says how well they go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog import Catalog
from features.profile import features
from features.profile_state import Profile, decode
from infra.demo.reading import read_topic
from infra.export_source import catalog_of, items_of
from infra.forget import STATES
from infra.people import read_people
from learner.config import LearnerConfig
from learner.lent import Lent, lend
from learner.snapshot import load_version
from learner.state import ranker_of
from stream.connect import KafkaConfig
from stream.events import AdapterVersion, Step, decode_adapter
from stream.tenants import plain, tenant_of
from stream.topics import Topics


class Written(NamedTuple):
    """How much was written, and by which version; none where there is none yet."""

    items: int
    users: int
    version: int | None


def export_vectors(kafka: KafkaConfig, config: LearnerConfig, tenant: str, folder: Path) -> Written:
    """Write both files into a folder, which is made if it isn't there."""
    catalog = catalog_of(kafka, tenant, config.encoder.width)
    users = states(kafka, tenant)
    announced = newest_version(kafka, tenant)
    lent = None
    if announced is not None:
        ranker = ranker_of(load_version(announced), catalog, config.device)
        histories: Sequence[Sequence[Step]] = [profile.steps for profile in users.values()]
        now_ms = max((profile.last_ms for profile in users.values()), default=0)
        lent = lend(ranker, histories, now_ms)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pq.write_table(_items_table(catalog, lent), folder / "items.parquet")
    pq.write_table(_users_table(users, lent), folder / "users.parquet")
    version = announced.version if announced is not None and lent is not None else None
    return Written(len(catalog), len(users), version)


def states(kafka: KafkaConfig, tenant: str) -> dict[str, Profile]:
    """The newest state of every user of one shop who may be told of, from the changelog."""
    newest: dict[str, bytes] = {}
    for placed in read_topic(kafka, f"{kafka.topic_prefix}{STATES}"):
        user_id = (placed.record.key or b"").decode("utf-8", "replace")
        if placed.record.value is None:
            newest.pop(user_id, None)
        elif tenant_of(user_id) == tenant:
            newest[user_id] = placed.record.value
    people = read_people(kafka, tenant)
    found = {user_id: decode(value) for user_id, value in newest.items()}
    return {
        user_id: profile
        for user_id, profile in found.items()
        if people.tell_of(user_id, profile.applied.received_ms)
    }


def newest_version(kafka: KafkaConfig, tenant: str) -> AdapterVersion | None:
    """The version that serving answers with: of those that are live, what was announced last.

    A version that was rolled back is not, though its number is higher.
    """
    live: dict[int, AdapterVersion] = {}
    for placed in read_topic(kafka, Topics(kafka.topic_prefix).adapters):
        if placed.record.value is None:
            continue
        version = decode_adapter(placed.record.value)
        if version.model.rpartition("/")[0] == tenant:
            live.pop(version.version, None)
            if version.status == "live":
                live[version.version] = version
    return next(reversed(live.values()), None)


_VECTOR = pa.list_(pa.float32())


def _items_table(catalog: Catalog, lent: Lent | None) -> pa.Table:
    items = items_of(catalog)
    texts = [
        vector.tolist() if item.vector else None
        for item, vector in zip(items, catalog.vectors, strict=True)
    ]
    learnt = [None] * len(items) if lent is None else lent.items_ID.tolist()
    return pa.table(
        {
            "item_id": pa.array([plain(item.item_id) for item in items], pa.string()),
            "title": pa.array([item.title for item in items], pa.string()),
            "category": pa.array([" > ".join(item.category) for item in items], pa.string()),
            "brand": pa.array([item.brand for item in items], pa.string()),
            "price": pa.array([item.price for item in items], pa.float64()),
            "available": pa.array(catalog.available.tolist(), pa.bool_()),
            "text_vector": pa.array(texts, _VECTOR),
            "learnt_vector": pa.array(learnt, _VECTOR),
        }
    )


def _users_table(users: dict[str, Profile], lent: Lent | None) -> pa.Table:
    rows = [features(user_id, profile) for user_id, profile in users.items()]
    learnt = [None] * len(rows) if lent is None else lent.users_BD.tolist()
    return pa.table(
        {
            "user_id": pa.array([plain(row.user_id) for row in rows], pa.string()),
            "updated_ms": pa.array([row.updated_ms for row in rows], pa.int64()),
            "events": pa.array([row.events for row in rows], pa.int64()),
            "short_vector": pa.array([list(row.short_vector) or None for row in rows], _VECTOR),
            "long_vector": pa.array([list(row.long_vector) or None for row in rows], _VECTOR),
            "learnt_vector": pa.array(learnt, _VECTOR),
        }
    )
