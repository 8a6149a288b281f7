"""Features as of a time, by Feast's own join: as the online store had them, nothing of later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.history import feature_history
from features.interest import InterestConfig
from features.offline import NOT_EXPORTED, At, OfflineStore
from features.store import MemoryStore, UserFeatures
from infra.bench.fed import Nowhere
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Event, ItemVector, json_encode

START_MS = 1_700_000_000_000
USERS = ("ada", "bob", "cy")


def catalogue() -> Catalog:
    catalog = Catalog(64)
    catalog.upsert(
        [
            ItemVector(
                item_id=f"i{n}",
                vector=b"",
                encoder="",
                text_hash="",
                first_seen_ms=0,
                category=("Tea" if n < 4 else "Bikes",),
                price=float(n),
            )
            for n in range(8)
        ]
    )
    return catalog


def made_events(count: int = 90) -> list[tuple[int, Event]]:
    """Some late, some at one time, some twice."""
    chance, events = Random(4), list[tuple[int, Event]]()
    for n in range(count):
        late_s = chance.choice([0, 0, 0, 7, 40])
        event = Event(
            event_id=f"e{n}",
            user_id=chance.choice(USERS),
            item_id=f"i{chance.randrange(8)}",
            kind=chance.choice(["view", "click", "purchase"]),
            ts_ms=START_MS + 1000 * (n // 2 - late_s),
            source=f"tidemill.clicks-0-{n}",
            received_ms=START_MS + 1000 * n,
        )
        events.append((len(events), event))
        if n % 9 == 0:
            events.append((len(events), event))
    return events


def online_as_of(events: list[tuple[int, Event]], user_id: str, at_ms: int) -> UserFeatures | None:
    """The last row in the online store that isn't later than a time, event by event."""
    store, table = MemoryStore(), dict[bytes, bytes]()
    agent = ProfileAgent(
        kafka=KafkaConfig(),
        table=table,
        publisher=Nowhere(),
        store=store,
        catalog=catalogue(),
        clock=ManualClock(START_MS),
        interest=InterestConfig(),
    )
    found = None
    for offset, event in events:
        record = PlainRecord(b"", json_encode(event), offset)
        asyncio.run(agent(Run("tidemill.events", 0, [record])))
        row = store.read([user_id])[0]
        if row is not None and row.updated_ms <= at_ms:
            found = row
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OfflineStore:
    made = OfflineStore(tmp_path_factory.mktemp("repo"))
    made.write(feature_history(made_events(), catalogue(), InterestConfig()))
    return made


def test_as_of_a_time_nothing_of_later_is_known(store: OfflineStore) -> None:
    events = made_events()
    times = [START_MS - 1000, START_MS + 9_000, START_MS + 20_500, START_MS + 60_000]
    wanted = [At(user_id, at_ms) for at_ms in times for user_id in (*USERS, "nobody", "ada")]
    rows = store.as_of(wanted).to_pylist()
    assert [row["user_id"] for row in rows] == [at.user_id for at in wanted]
    for at, row in zip(wanted, rows, strict=True):
        expected = online_as_of(events, *at)
        for name in set(row) - {"user_id", "as_of"}:
            value = None if expected is None else getattr(expected, name)
            if isinstance(value, tuple):
                value = pytest.approx(list(value), abs=1e-6)
            assert row[name] == value, (at, name)
    assert rows[0]["events"] is None and rows[-1]["events"] == rows[-5]["events"] > 20


def test_a_history_that_ends_at_a_time_says_the_same_as_a_whole_one(
    store: OfflineStore, tmp_path: Path
) -> None:
    at_ms = START_MS + 20_500
    short = OfflineStore(tmp_path)
    written = short.write(feature_history(made_events(), catalogue(), InterestConfig(), at_ms))
    wanted = [At(user_id, at_ms) for user_id in USERS]
    assert short.as_of(wanted) == store.as_of(wanted)
    assert written < len(made_events())


def test_the_folder_is_a_repository_of_feasts_own(store: OfflineStore) -> None:
    names = {path.name for path in store.folder.iterdir()}
    assert {"feature_store.yaml", "history.parquet", "registry.db"} <= names
    row = store.as_of([At("ada", START_MS + 60_000)]).to_pylist()[0]
    assert not NOT_EXPORTED & set(row) and row["words"].startswith("Now most often")
