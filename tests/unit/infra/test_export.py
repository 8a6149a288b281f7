"""What is said of a user for people to read."""

from __future__ import annotations

from typing import Any

from infra.export import knows_nothing, summary

NOTHING: dict[str, Any] = {
    "user_id": "ada",
    "state": None,
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
        {"records": {"clicks": [{}]}},
        {"dead_letters": [{}]},
    )
    for left in traces:
        assert not knows_nothing(NOTHING | left)
