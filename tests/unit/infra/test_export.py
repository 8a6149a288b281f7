"""What is said of a user for people to read."""

from __future__ import annotations

from typing import Any

import pytest

from features.outcomes_state import ShownItem, ShownList, Shows, encode
from features.store import MemoryStore
from infra import export
from infra.export import export_user, knows_nothing, summary
from stream.asked import Conversations, Dialogue
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Identity, json_encode
from tests.unit.infra.test_export_command import reading

NOTHING: dict[str, Any] = {
    "user_id": "ada",
    "state": None,
    "shown": None,
    "features": None,
    "records": {"clicks": [], "events": []},
    "dead_letters": [],
    "to_be_forgotten": False,
}


def test_a_user_of_whom_all_is_known() -> None:
    known = NOTHING | {
        "state": {
            "events": 3,
            "counts": {"view": 2, "click": 0, "purchase": 1},
            "categories": {"Tea": 1, "Pots": 9},
            "brands": {},
            "steps": [{"kind": "view", "item_id": "pot-1"}],
        },
        "features": {
            "events": 3,
            "recent_items": ["pot-1"],
            "shifts": 0,
            "words": "Now most often Pots.",
        },
        "records": {"clicks": [{}, {}], "events": []},
        "dead_letters": [{"place": "dead-letters-0-7", "reason": "not_json"}],
        "to_be_forgotten": True,
    }
    said = "\n".join(summary(known))
    for words in (
        "in words  Now most often Pots.",
        "3 events: 2 view, 1 purchase",
        "categories: Pots, Tea",
        "newest: view pot-1",
        "2 on clicks",
        "dead-letters-0-7: not_json",
        "is to be forgotten",
    ):
        assert words in said
    assert "brands" not in said and "on events" not in said
    assert not knows_nothing(known)


def test_a_user_of_whom_a_single_record_is_left_is_not_unknown() -> None:
    assert knows_nothing(NOTHING)
    traces: tuple[dict[str, Any], ...] = (
        {"features": {"events": 0}},
        {"shown": {"lists": [], "acts": []}},
        {"records": {"clicks": [{}]}},
        {"dead_letters": [{}]},
    )
    for left in traces:
        assert not knows_nothing(NOTHING | left)


def test_lists_conversations_and_links_are_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    shows = Shows((ShownList("r-1", "home", "model", 3, 5, (ShownItem("acme\x1fpot", 0.5),)),))
    said = Conversations(
        user_id="ada",
        dialogues=(Dialogue(conversation_id="c-1", ts_ms=5),),
        tenant="acme",
    )
    of_another = Conversations(user_id="ada", dialogues=(), tenant="other")
    whole = "acme\x1fada"
    topics: dict[str, list[tuple[str | None, bytes | None, int]]] = {
        "tidemill.ingest-profile-outcomes-changelog": [
            ("ada", b"another shop's", 0),
            (whole, encode(shows, 9), 0),
        ],
        "tidemill.conversations": [
            (whole, json_encode(said), 0),
            ("other\x1fada", json_encode(of_another), 0),
        ],
        "tidemill.identities": [
            ("app-7", json_encode(Identity(user_id="app-7", same_as="ada", tenant="acme")), 0),
            ("app-7", json_encode(Identity(user_id="app-7", same_as="ada")), 0),
        ],
    }
    monkeypatch.setattr(export, "read_topic", reading(topics))
    known = export_user(whole, KafkaConfig(), MemoryStore(), ManualClock())
    assert known["shown"]["lists"][0]["items"][0]["item_id"] == "pot"
    assert len(known["records"]["conversations"]) == len(known["records"]["identities"]) == 1
    assert not knows_nothing(known)
    assert "1 lists whose outcomes are open" in "\n".join(summary(known))
