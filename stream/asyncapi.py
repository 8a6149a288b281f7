"""The contract of the topics for those who don't read Python: JSON Schemas, and one AsyncAPI file.

`python -m stream.asyncapi` writes `stream/schemas/`: `<topic>.json`, a self-contained JSON Schema
for each topic's payload, and `asyncapi.json`, an AsyncAPI 3.0 document of all topics. Both come
from `stream.topics.SPECS` and the structs of `stream.events`; a test fails when they are stale.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from stream.topics import SPECS, TopicSpec

FOLDER = Path(__file__).parent / "schemas"

VERSION = "1.0.0"
"""The contract's version: the second number grows with a field, the first with a break."""

MSGPACK = frozenset({"examples", "item-vectors", "calibrations"})
"""Topics that only Tidemill reads; the bytes are msgpack, the fields are those of the schema."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REF = "#/components/schemas/{name}"

EXAMPLES: dict[str, dict[str, Any]] = {
    "clicks": {
        "user_id": "ann",
        "item_id": "tea-0042",
        "ts": "2026-05-01T09:00:00Z",
        "action": "view",
        "event_id": "c-17",
        "session_id": "s-3",
    },
    "purchases": {
        "user_id": "ann",
        "item_id": "tea-0042",
        "ts": 1_777_626_060_000,
        "quantity": 2,
        "price": 9.5,
    },
    "reviews": {
        "user_id": "ann",
        "item_id": "tea-0042",
        "ts": 1_777_712_400_000,
        "rating": 5,
        "title": "Love it",
        "text": "Fresh and mild.",
    },
    "items": {
        "item_id": "tea-0042",
        "title": "Alderwood Sencha Green Loose Leaf Tea 100 g",
        "category": "Kitchen > Tea",
        "brand": "Alderwood",
        "price": 9.5,
    },
    "requests": {"request_id": "r-1", "user_id": "ann", "k": 10, "filters": {"price_max": 20}},
    "choices": {"user_id": "ann", "personalised": False},
    "identities": {"user_id": "app-7", "same_as": "ann"},
    "forget": {"user_id": "ann"},
}
"""What a shop may send: shown in the document, and parsed by a test."""


def schema_of(spec: TopicSpec) -> dict[str, Any] | None:
    """Return one topic's JSON Schema with everything it refers to; `None` where any bytes go.

    >>> schema = schema_of(SPECS[0])
    >>> schema["title"], schema["required"]
    ('Click', ['user_id', 'item_id', 'ts'])
    """
    if spec.schema is None:
        return None
    found = msgspec.json.schema(spec.schema)
    own = found["$defs"].pop(spec.schema.__name__)
    rest = {"$defs": found["$defs"]} if found["$defs"] else {}
    return {"$schema": DIALECT, **_clean(own), **_clean(rest)}


def document() -> dict[str, Any]:
    """Return the AsyncAPI document of all topics, under the default prefix."""
    structs = [spec.schema for spec in SPECS if spec.schema is not None]
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidemill",
            "version": VERSION,
            "description": "A shop sends what happens, and reads what to recommend. Names carry "
            "the prefix `tidemill.` unless it is set otherwise. Fields may be added at any time: "
            "ignore those that you don't know.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {"host": "localhost:9092", "protocol": "kafka", "description": "tidemill up"}
        },
        "channels": {spec.name: _channel(spec) for spec in SPECS},
        "operations": {_operation_name(spec): _operation(spec) for spec in SPECS},
        "components": {
            "messages": {spec.name: _message(spec) for spec in SPECS},
            "schemas": {name: _clean(schemas[name]) for name in sorted(schemas)},
        },
    }


def files() -> dict[str, str]:
    """Return the generated files: name → content."""
    contents: dict[str, Any] = {"asyncapi.json": document()}
    for spec in SPECS:
        schema = schema_of(spec)
        if schema is not None:
            contents[f"{spec.name}.json"] = schema
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in contents.items()
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the files, and remove those of topics that are no more."""
    folder.mkdir(exist_ok=True)
    wanted = files()
    for stale in set(folder.glob("*.json")) - {folder / name for name in wanted}:
        stale.unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content, encoding="utf-8")
    return sorted(folder / name for name in wanted)


def _channel(spec: TopicSpec) -> dict[str, Any]:
    config: dict[str, Any] = {"cleanup.policy": ["compact" if spec.compacted else "delete"]}
    if not spec.compacted:
        config["retention.ms"] = spec.retention_ms
    return {
        "address": f"tidemill.{spec.name}",
        "summary": f"{spec.summary}, written by {spec.written_by}",
        "messages": {spec.name: {"$ref": f"#/components/messages/{spec.name}"}},
        "bindings": {"kafka": {"topicConfiguration": config, "bindingVersion": "0.5.0"}},
    }


def _message(spec: TopicSpec) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": spec.schema.__name__ if spec.schema else "DeadLetter",
        "summary": spec.summary,
        "contentType": "application/json",
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": spec.key},
                "bindingVersion": "0.5.0",
            }
        },
    }
    if spec.schema is None:
        message["contentType"] = "application/octet-stream"
        message["headers"] = _DEAD_LETTER_HEADERS
    else:
        message["payload"] = {"$ref": _REF.format(name=spec.schema.__name__)}
    if spec.name in MSGPACK:
        message["contentType"] = "application/msgpack"
    if spec.name in EXAMPLES:
        message["examples"] = [{"name": spec.name, "payload": EXAMPLES[spec.name]}]
    return message


def _operation_name(spec: TopicSpec) -> str:
    return f"{'receive' if spec.written_by == 'the shop' else 'send'}-{spec.name}"


def _operation(spec: TopicSpec) -> dict[str, Any]:
    """Describe it as Tidemill sees it: it receives what the shop sends."""
    return {
        "action": "receive" if spec.written_by == "the shop" else "send",
        "channel": {"$ref": f"#/channels/{spec.name}"},
        "summary": f"{spec.summary}, written by {spec.written_by}",
        "messages": [{"$ref": f"#/channels/{spec.name}/messages/{spec.name}"}],
    }


def _clean(schema: Any) -> Any:
    """Descriptions in one line of prose each: docstrings break lines where Python does."""
    if isinstance(schema, dict):
        return {
            key: " ".join(inspect.cleandoc(value).split())
            if key == "description" and isinstance(value, str)
            else _clean(value)
            for key, value in schema.items()
        }
    return [_clean(part) for part in schema] if isinstance(schema, list) else schema


def _text(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


_DEAD_LETTER_HEADERS = {
    "type": "object",
    "properties": {
        "__connect.errors.topic": _text("where the record was read"),
        "__connect.errors.partition": _text("its partition"),
        "__connect.errors.offset": _text("its offset"),
        "__connect.errors.stage": _text("the role that refused it"),
        "__connect.errors.class.name": _text("the function that refused it"),
        "__connect.errors.exception.class.name": _text("the class of the fault"),
        "__connect.errors.exception.message": _text("what was wanted, and what came"),
        "tidemill.dlq.schema": _text(
            "the version of these headers; what is before is the record's"
        ),
        "tidemill.dlq.reason": _text("why, in one word"),
        "tidemill.dlq.role": _text("the role that refused it"),
        "tidemill.dlq.attempt": _text("at which try the role gave it up"),
        "tidemill.dlq.first_failed_ms": _text("when it was refused first, in Unix milliseconds"),
        "tidemill.dlq.last_failed_ms": _text("when this letter was written, in Unix milliseconds"),
        "tidemill.dlq.disposition": _text("replayable, or final: cut, or replayed too often"),
        "tidemill.dlq.code_version": _text("the version of Tidemill that refused it"),
        "tidemill.dlq.replay_count": _text("how often it was replayed before"),
        "tidemill.dlq.source": _text("topic-partition-offset where it was read first"),
        "tidemill.dlq.timestamp_ms": _text("the record's own timestamp, in Unix milliseconds"),
        "tidemill.dlq.event_id": _text("the producer's id of the event, where it can be read"),
        "tidemill.dlq.key": _text("the record's own key, its bytes"),
        "tidemill.dlq.null_headers": _text("which of its own headers, from 0, had no value"),
        "tidemill.dlq.cut": _text("which parts of the record had to be cut: value, key, headers"),
        "tidemill.dlq.cut_from": _text("the value's whole length, where it had to be cut"),
    },
}

if __name__ == "__main__":
    for path in write():
        print(path, file=sys.stderr)
