"""Logs: one record is one line, whatever a shop's ids contain."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from infra.logs import JsonFormatter, LineFormatter, configure_logging

EVIL = "ann\n2030-01-01T00:00:00.000Z ERROR   learner forged\r\x1b[2J\u2028\x85end"


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("stream.ingest", logging.INFO, "", 0, message, args, None)


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_an_id_cannot_forge_a_line() -> None:
    line = LineFormatter("ingest-profile").format(record("user %s", EVIL))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "ingest-profile ingest: user ann\\n2030" in line


def test_an_id_cannot_turn_the_line_around() -> None:
    line = LineFormatter("serving").format(record("user %s", "ann\u202e\u2066\u200f"))
    assert line.endswith("user ann\\u202e\\u2066\\u200f")


def test_json_lines_hold_the_text_unchanged() -> None:
    line = JsonFormatter("serving").format(record("user %s", EVIL))
    assert len(line.splitlines()) == 1
    said = json.loads(line)
    assert (said["role"], said["level"], said["message"]) == ("serving", "INFO", f"user {EVIL}")


def test_a_traceback_is_kept_on_marked_lines() -> None:
    try:
        raise ValueError(EVIL)
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    first, *rest = LineFormatter("learner").format(failed).splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("  | ") for line in rest)


@pytest.mark.usefixtures("restored")
def test_libraries_whisper_and_rooms_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure_logging("serving", "INFO")
    logging.getLogger("kafka.conn").info("connecting")
    logging.getLogger("kafka.conn").warning("gone")
    logging.getLogger("stream.transport").info("[^--Fetcher]: Starting...")
    logging.getLogger("serving.agent").info("at work")
    assert [line.partition(" serving ")[2] for line in said.getvalue().splitlines()] == [
        "conn: gone",
        "agent: at work",
    ]
