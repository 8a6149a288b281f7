"""What is written about the topics is what the code does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from stream.asyncapi import DIALECT, EXAMPLES, FOLDER, document, files, schema_of, write
from stream.batching import PlainRecord
from stream.choices import parse_choice
from stream.deadletter import dead_letter
from stream.errors import BadRecord
from stream.events import Choice, Forget, Identity, Item, Request, json_encode
from stream.forget import parse_forget
from stream.identities import parse_identity
from stream.parse import TopicKind, parse_event, parse_item, parse_request
from stream.shop import Shop
from stream.topics import RAW_EVENT_TOPICS, SPECS
from tests.unit.stream.json_schema import check_words, faults

NOW_MS = 1_777_800_000_000


def test_the_generated_files_are_fresh() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    assert found == files(), "stale: run `python -m stream.asyncapi`, look at the diff, commit it"


def test_writing_removes_what_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "old-topic.json").write_text("{}")
    assert {path.name for path in write(tmp_path)} == set(files())
    assert {path.name for path in tmp_path.iterdir()} == set(files())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_each_topic_has_a_valid_schema_with_words(spec: Any) -> None:
    schema = schema_of(spec)
    if spec.name == "dead-letters":
        assert schema is None
        return
    assert schema is not None
    check_words(schema)
    assert schema["$schema"] == DIALECT
    assert len(schema["description"]) > 20 and "\n" not in schema["description"]
    assert all(ref.startswith("#/$defs/") for ref in refs(schema))


def test_every_reference_of_the_document_leads_somewhere() -> None:
    whole = document()
    found = refs(whole)
    assert len(found) > 30
    for ref in found:
        place: Any = whole
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]


def test_the_document_names_every_topic_once_and_who_writes_it() -> None:
    whole = document()
    assert list(whole["channels"]) == [spec.name for spec in SPECS]
    actions = {name: operation["action"] for name, operation in whole["operations"].items()}
    assert actions["receive-clicks"] == "receive"
    assert actions["send-recommendations"] == "send"
    assert len(actions) == len(SPECS)


@pytest.mark.parametrize("topic", EXAMPLES)
def test_the_examples_are_what_the_parsers_take(topic: str) -> None:
    value = json.dumps(EXAMPLES[topic]).encode()
    assert faults(EXAMPLES[topic], schema(topic), schema(topic)) == []
    if topic in RAW_EVENT_TOPICS:
        parse_event(cast(TopicKind, topic), value, "s", NOW_MS, NOW_MS)
    else:
        parsers: dict[str, Any] = {
            "items": parse_item,
            "requests": parse_request,
            "choices": parse_choice,
            "identities": parse_identity,
            "forget": parse_forget,
        }
        made = parsers[topic](PlainRecord(None, value, 0))
        assert isinstance(made, Item | Request | Choice | Identity | Forget)


def test_the_schemas_hold_for_a_whole_shop() -> None:
    shop = Shop(1)
    schemas = {spec.name: schema(spec.name) for spec in SPECS if spec.schema is not None}
    records = [r for _ in range(300) for r in shop.step() if r.label != "broken"]
    for record in records:
        own = schemas[record.topic_kind]
        assert faults(json.loads(record.value or b""), own, own) == []
        if record.topic_kind in RAW_EVENT_TOPICS:
            kind = cast(TopicKind, record.topic_kind)
            event = parse_event(kind, record.value, "s", record.ts_ms, record.ts_ms)
            assert faults(json.loads(json_encode(event)), schemas["events"], {}) == []


@pytest.mark.parametrize("wrong", [{"rating": 9}, {"rating": "5"}, {"user_id": ""}, {"ts": None}])
def test_a_schema_refuses_what_the_parser_refuses(wrong: dict[str, Any]) -> None:
    review = EXAMPLES["reviews"] | wrong
    assert len(faults(review, schema("reviews"), {})) == 1
    with pytest.raises(BadRecord):
        parse_event("reviews", json.dumps(review).encode(), "s", NOW_MS, NOW_MS)


def test_the_headers_of_dead_letters_are_all_described() -> None:
    value = b'{"event_id": "e1"}' + b" " * 2_100_000
    record = PlainRecord(b"k", value, 1, headers=[("x", None)])
    letter = dead_letter(record, "t", 0, "ingest", BadRecord("ts", 1, "late", "failed"), 5)
    described = document()["components"]["messages"]["dead-letters"]["headers"]["properties"]
    assert {name for name, _ in letter.headers} == {"x"} | set(described)


def schema(topic: str) -> dict[str, Any]:
    found = schema_of(next(spec for spec in SPECS if spec.name == topic))
    assert found is not None
    return found


def refs(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for part in node for ref in refs(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [ref for part in node.values() for ref in refs(part)]
