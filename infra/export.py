"""Everything that is known of one user, as JSON: for the user, and to see that nothing is left.

What is asked: the changelogs of the profile (a state is the newest value of the user's key), the
online store, and every topic that may hold a record of the user. Nothing is changed, and no running
process is asked. Topics are read whole, because a shop's raw topics may have any key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from features.outcomes_state import decode as decode_shows
from features.profile_state import decode as decode_state
from features.store import OnlineStore
from infra.demo.reading import Placed, read_topic
from infra.forget import CARRIERS, SHOWS, STATES
from infra.forget_letters import whose
from stream.batching import Record
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord
from stream.events import KINDS, decode_identity
from stream.forget import parse_forget, whom
from stream.letters import read_letter
from stream.tenants import inside, outward, tenant_of
from stream.topics import Topics


def export_user(
    user_id: str, kafka: KafkaConfig, store: OnlineStore, clock: Clock
) -> dict[str, Any]:
    """Gather what is known of a user, given by the whole id.

    Returns
    -------
    dict
        `state`: the profile as it is kept, `shown`: the lists whose outcomes are open, `features`:
        the row that serving reads, `records`: what the topics still hold, by topic,
        `dead_letters`, and `to_be_forgotten`. All ids are as the user's shop knows them.
    """
    topics = Topics(kafka.topic_prefix)
    row = store.read([user_id])[0]
    known = {
        "user_id": user_id,
        "exported_ms": clock.now_ms(),
        "state": _state(user_id, kafka),
        "shown": _shows(user_id, kafka),
        "features": None if row is None else msgspec.to_builtins(row),
        "records": {
            name: [
                _shown(placed)
                for placed in read_topic(kafka, f"{kafka.topic_prefix}{name}")
                if _is_of(user_id, placed.record)
                or (name == "identities" and _linked_to(user_id, placed.record))
            ]
            for name in (*CARRIERS, "profiles", "conversations", "choices", "identities")
        },
        "dead_letters": [
            _letter(placed)
            for placed in read_topic(kafka, topics.dead_letters)
            if whose(
                placed.record.value, placed.record.headers, frozenset({user_id}), placed.record.key
            )
        ],
        "to_be_forgotten": any(
            _asked(placed.record) == user_id for placed in read_topic(kafka, topics.forget)
        ),
    }
    tenant = tenant_of(user_id)
    if tenant:
        known["tenant"] = tenant
    found: dict[str, Any] = json.loads(outward(json.dumps(known).encode(), tenant))
    return found


def knows_nothing(known: dict[str, Any]) -> bool:
    """Whether an export is empty."""
    records = any(known["records"].values())
    states = known["state"] or known["shown"] or known["features"]
    return not (states or records or known["dead_letters"])


def summary(known: dict[str, Any]) -> list[str]:
    """The same for a person to read, in some twenty lines.

    >>> summary({"user_id": "ann", "state": None, "shown": None, "features": None,
    ...          "records": {"clicks": []}, "dead_letters": [], "to_be_forgotten": False})
    ['user ann', 'nothing is known of this user']
    """
    lines = [f"user {known['user_id']}" + (f" of {known['tenant']}" if "tenant" in known else "")]
    state, row = known["state"], known["features"]
    if row and row["words"]:
        lines.append(f"in words  {row['words']}")
    if state:
        counts = ", ".join(f"{n:,} {kind}" for kind, n in state["counts"].items() if n)
        lines += [f"state     {state['events']:,} events: {counts}"]
        for name in ("categories", "brands"):
            best = sorted(state[name].items(), key=lambda pair: -pair[1])[:3]
            lines += [f"          {name}: {', '.join(word for word, _ in best)}"] * bool(best)
        steps = [f"{step['kind']} {step['item_id']}" for step in state["steps"][-5:]]
        lines.append(f"          newest: {', '.join(steps)}")
    if row:
        lines.append(
            f"features  {row['events']:,} events, {len(row['recent_items'])} newest items, "
            f"{row['shifts']} interest shifts"
        )
    if known["shown"]:
        lines.append(f"shown     {len(known['shown']['lists']):,} lists whose outcomes are open")
    kept = {name: len(found) for name, found in known["records"].items() if found}
    lines += [f"records   {count:,} on {name}" for name, count in kept.items()]
    lines += [
        f"letter    {letter['place']}: {letter['reason']}" for letter in known["dead_letters"]
    ]
    if len(lines) == 1:
        lines.append("nothing is known of this user")
    if known["to_be_forgotten"]:
        lines.append("is to be forgotten: `tidemill forget` finishes it")
    return lines


def _state(user_id: str, kafka: KafkaConfig) -> dict[str, Any] | None:
    value = _newest(user_id, kafka, STATES)
    if value is None:
        return None
    profile = decode_state(value)
    known: dict[str, Any] = msgspec.to_builtins(profile)
    names = ("item_id", "kind", "ts_ms", "rating")
    return known | {
        "events": profile.events,
        "counts": dict(zip(KINDS, profile.counts, strict=True)),
        "steps": [{name: getattr(step, name) for name in names} for step in profile.steps],
        "readings": [
            {"item_id": read.item_id, "ts_ms": read.ts_ms, "rating": read.rating}
            for read in profile.readings.read
        ],
    }


def _shows(user_id: str, kafka: KafkaConfig) -> dict[str, Any] | None:
    value = _newest(user_id, kafka, SHOWS)
    if value is None:
        return None
    shows = decode_shows(value)
    return {
        "lists": [
            _fields(one) | {"items": [_fields(item) for item in one.items]} for one in shows.lists
        ],
        "acts": [_fields(one) for one in shows.acts],
    }


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(struct)


def _newest(user_id: str, kafka: KafkaConfig, changelog: str) -> bytes | None:
    """The newest value of a table's changelog."""
    key, value = user_id.encode(), None
    for placed in read_topic(kafka, f"{kafka.topic_prefix}{changelog}"):
        if placed.record.key == key:
            value = placed.record.value
    return value


def _is_of(user_id: str, record: Record) -> bool:
    return whose(record.value, (), frozenset({user_id}), record.key)


def _linked_to(user_id: str, record: Record) -> bool:
    """Whether a record says of another id that it is the same person."""
    try:
        link = decode_identity(record.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return inside(link.tenant, link.same_as) == user_id


def _asked(record: Record) -> str | None:
    try:
        return whom(parse_forget(record))
    except BadRecord:
        return None


def _shown(placed: Placed) -> dict[str, Any]:
    place, record = placed
    return {
        "place": f"{place.topic}-{place.partition}-{place.offset}",
        "timestamp_ms": record.timestamp,
        "value": _readable(record.value),
    }


def _readable(value: bytes | None) -> Any:
    """As JSON or msgpack if it is, else as text with what isn't text escaped."""
    readers: list[Callable[[bytes], Any]] = [json.loads, _msgpack]
    for read in readers:
        try:
            found = read(value or b"null")
        except (ValueError, RecursionError, msgspec.MsgspecError):
            continue
        if isinstance(found, dict | None):
            return found
    return (value or b"").decode("utf-8", "backslashreplace")


def _msgpack(value: bytes) -> Any:
    return msgspec.to_builtins(msgspec.msgpack.decode(value))


def _letter(placed: Placed) -> dict[str, Any]:
    shown = _shown(placed)
    try:
        letter = read_letter(placed.record)
    except BadRecord:
        return {**shown, "reason": "unreadable"}
    return {**shown, "topic": letter.topic, "reason": letter.reason, "message": letter.message}
