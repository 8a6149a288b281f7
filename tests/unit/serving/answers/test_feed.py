"""What the desk hears, and when."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from features.catalog import Catalog
from features.store import MemoryStore
from serving.agent import ServingLoop
from serving.answers.config import AnswersConfig
from serving.answers.desk import Desk
from serving.answers.feed import Feed
from serving.index import ItemIndex
from serving.recent_kafka import RecentReader
from stream.asked import Conversations, Dialogue
from stream.batching import PlainRecord
from stream.broadcast import BroadcastReader
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.forget import Forgotten
from tests.unit.serving.answers.shop import ITEMS
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainModels


def test_who_takes_partitions_over_first_hears_what_was_said_to_their_last_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Conversations(
        user_id="zoe", dialogues=(Dialogue(conversation_id="c", ts_ms=NOW_MS, item_ids=("fan",)),)
    )
    record = PlainRecord(b"zoe", msgspec.json.encode(said), 0)

    def load(reader: BroadcastReader, hear: Callable[[Any], object], timeout_s: float) -> int:
        if reader.topic.endswith("conversations"):
            hear(record)
        return 1

    monkeypatch.setattr(BroadcastReader, "load", load)
    monkeypatch.setattr(RecentReader, "catch_up", lambda *_: 0)
    desk = Desk(AnswersConfig())
    loop = ServingLoop(
        KafkaConfig(),
        PLAIN,
        store=MemoryStore(),
        catalog=Catalog(2, texts=True),
        models=PlainModels(),
        desk=desk,
    )
    loop._recall()
    assert desk.conversations.of("zoe", "c", NOW_MS).item_ids == ("fan",)


def test_what_is_written_by_who_has_opted_out_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = b'{"user_id":"%s","item_id":"fan","ts":%d,"text":"Very loud.","rating":2}'
    records = [
        SimpleNamespace(
            key=None,
            value=written % (user, NOW_MS),
            partition=0,
            offset=offset,
            timestamp=NOW_MS,
            headers=(),
        )
        for offset, user in enumerate((b"ann", b"bob"))
    ]

    def poll(reader: BroadcastReader, hear: Callable[[Any], object], timeout_s: float) -> int:
        if reader.topic.endswith("reviews"):
            while records:
                hear(records.pop(0))
        return 0

    monkeypatch.setattr(BroadcastReader, "poll", poll)
    desk = Desk(AnswersConfig())
    index = ItemIndex(Catalog(2, texts=True))
    index.upsert(list(ITEMS))
    desk.open_shop("", index, None)
    feed = Feed(KafkaConfig(), desk, ManualClock(NOW_MS), ())
    feed.follow(Forgotten(), lambda user: user == "bob")
    assert [said.user_id for said in desk.knowledge[""].reviews.of("fan")] == ["ann"]
