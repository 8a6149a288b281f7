from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from infra.demo.script import EVENTS_PER_REQUEST, LogScript, ShopScript
from stream.clock import ManualClock
from stream.formats import open_log
from stream.topics import RAW_EVENT_TOPICS

NOW_MS = 1_800_000_000_000


def write_log(folder: Path) -> Path:
    """Twelve clicks of two users, ten seconds apart, in 2015."""
    lines = [
        {"ts_ms": 1_420_000_000_000 + 10_000 * n, "user_id": "ab"[n % 2], "item_id": f"i{n % 3}"}
        for n in range(12)
    ]
    path = folder / "events.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_a_log_is_moved_as_a_whole_so_that_its_last_played_event_is_now(tmp_path: Path) -> None:
    script = LogScript(open_log(write_log(tmp_path)), 6, ManualClock(NOW_MS))

    events = [line for line in script.lines() if line.topic in RAW_EVENT_TOPICS][:6]
    times = [json.loads(line.value or b"")["ts"] for line in events]

    assert times == [NOW_MS - 10_000 * back for back in (5, 4, 3, 2, 1, 0)]


def test_users_of_a_log_ask_after_some_of_their_events(tmp_path: Path) -> None:
    script = LogScript(open_log(write_log(tmp_path)), None, ManualClock(NOW_MS))

    lines = list(script.lines())
    asks = [at for at, line in enumerate(lines) if line.topic == "requests"]

    assert asks == [EVENTS_PER_REQUEST, 2 * EVENTS_PER_REQUEST + 1]
    for at in asks:
        before = json.loads(lines[at - 1].value or b"")
        asked = json.loads(lines[at].value or b"")
        assert (asked["user_id"], asked["context_item"]) == (before["user_id"], before["item_id"])


def test_a_log_played_again_later_has_other_event_ids(tmp_path: Path) -> None:
    log = open_log(write_log(tmp_path))
    clock = ManualClock(NOW_MS)
    ids = []
    for _ in range(2):
        lines = [line for line in LogScript(log, None, clock).lines() if line.topic == "clicks"]
        ids.append({json.loads(line.value or b"")["event_id"] for line in lines})
        clock.advance(60)

    assert len(ids[0]) == len(ids[1]) == 12
    assert not ids[0] & ids[1]


def test_items_of_a_log_are_there_before_its_events(tmp_path: Path) -> None:
    script = LogScript(open_log(write_log(tmp_path)), None, ManualClock(NOW_MS))

    assert {line.key for line in script.items()} == {b"i0", b"i1", b"i2"}


def test_the_shop_keeps_up_with_the_clock() -> None:
    script = ShopScript(7, rate_per_s=100.0, clock=ManualClock(NOW_MS))
    assert len(list(script.items())) == 600

    lines = list(islice(script.lines(), 3_000))
    whole = [line.value or b"" for line in lines if b'"session_id"' in (line.value or b"")]

    assert (
        20_000 < json.loads(whole[-1])["ts"] - NOW_MS < 40_000
    )  # about 3,000 records at 100 a second
    assert {line.topic for line in lines} >= {"clicks", "purchases", "reviews", "requests"}
