"""Each kind of damage, planted in what a run without faults left, is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from features.profile_state import decode, encode
from stream.events import (
    Recommendation,
    RecommendedItem,
    decode_event,
    decode_example,
    decode_recommendation,
    json_encode,
    msgpack_encode,
)
from tests.chaos.topic_log import Log, Logged
from tests.chaos.verdict import Checkpoint, Left, judge, newest_checkpoint
from tests.simulation.world import World

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def whole() -> Left:
    """What a run without faults leaves: some 250 events of 6 users, and requests."""
    world = World(7, faults=0)
    world.run(400)
    left = world.left()
    examples = [decode_example(record.value or b"") for record in left.logs.examples]
    unknown = sum(example.item_id == "i12" for example in examples)
    checkpoint = Checkpoint(
        consumed=_ends((record.partition, record.offset) for record in left.logs.examples),
        offsets=_ends((example.partition, example.offset) for example in examples),
        learnt=len(examples) - unknown,
        waiting=unknown,
    )
    return replace(left, checkpoint=checkpoint)


def _ends(places: object) -> dict[int, int]:
    ends: dict[int, int] = {}
    for partition, offset in places:  # type: ignore[attr-defined]
        ends[partition] = offset + 1
    return ends


def test_a_whole_run_is_clean(whole: Left) -> None:
    verdict = judge(whole)
    assert verdict.clean, verdict.differences
    assert verdict.accepted > 100
    assert verdict.duplicates > 10
    assert verdict.dead_letters > 5
    assert verdict.requests > 5
    assert verdict.events == verdict.accepted + verdict.duplicates + verdict.dead_letters


def without(log: Log, place: int = 20) -> Log:
    return log[:place] + log[place + 1 :]


def changed(log: Log, place: int, value: bytes) -> Log:
    return (*log[:place], log[place]._replace(value=value), *log[place + 1 :])


def logs(left: Left, **changes: Log) -> Left:
    return replace(left, logs=replace(left.logs, **changes))


def lost_event(left: Left) -> Left:
    """An event that never got to `events`, with all that follows from it."""
    gone = left.logs.events[-1]
    key = decode_event(gone.value or b"").event_id
    examples = [e for e in left.logs.examples if decode_example(e.value or b"").event_id != key]
    return logs(left, events=left.logs.events[:-1], examples=tuple(examples))


def second_example(left: Left) -> Left:
    """An event applied twice: another copy of it, and an example of that one."""
    example = left.logs.examples[20]
    twin = replace(decode_example(example.value or b""), offset=90_000)
    return logs(left, examples=(*left.logs.examples, example._replace(value=msgpack_encode(twin))))


def other_repeat(left: Left) -> Left:
    """An example written again, with another history."""
    example = left.logs.examples[20]
    twin = replace(decode_example(example.value or b""), history=(), user_events=0)
    return logs(left, examples=(*left.logs.examples, example._replace(value=msgpack_encode(twin))))


def other_event(left: Left) -> Left:
    event = decode_event(left.logs.events[3].value or b"")
    value = json_encode(replace(event, quantity=event.quantity + 1))
    return logs(left, events=changed(left.logs.events, 3, value))


def event_from_nowhere(left: Left) -> Left:
    record = left.logs.events[-1]
    event = replace(decode_event(record.value or b""), event_id="new", source="sim.clicks-0-99999")
    added = record._replace(offset=record.offset + 1, value=json_encode(event))
    return logs(left, events=(*left.logs.events, added))


def letter_of_a_good_record(left: Left) -> Left:
    event = decode_event(left.logs.events[0].value or b"")
    topic, partition, offset = event.source.rsplit("-", 2)
    letter = left.logs.dead_letters[0]
    place = {"topic": topic, "partition": partition, "offset": offset}
    headers = dict(letter.headers) | {f"__connect.errors.{k}": v.encode() for k, v in place.items()}
    twin = letter._replace(headers=tuple(headers.items()))
    return logs(left, dead_letters=(*left.logs.dead_letters, twin))


def letter_with_other_bytes(left: Left) -> Left:
    return logs(left, dead_letters=changed(left.logs.dead_letters, 0, b"other"))


def letter_for_another_reason(left: Left) -> Left:
    letter = left.logs.dead_letters[0]
    headers = dict(letter.headers) | {"tidemill.dlq.reason": b"failed"}
    twin = letter._replace(headers=tuple(headers.items()))
    return logs(left, dead_letters=(twin, *left.logs.dead_letters[1:]))


def state_behind(left: Left) -> Left:
    """The changelog's newest value of a user is an older one."""
    first: dict[bytes | None, Logged] = {}
    for record in left.logs.changelog:
        first.setdefault(record.key, record)
    newest = left.logs.changelog[-1]
    return logs(left, changelog=(*left.logs.changelog, first[newest.key]))


def state_twice(left: Left) -> Left:
    newest = left.logs.changelog[-1]
    profile = decode(newest.value or b"")
    counts = (profile.counts[0] + 1, *profile.counts[1:])
    value = encode(replace(profile, counts=counts))
    return logs(left, changelog=(*left.logs.changelog, newest._replace(value=value)))


def state_gone(left: Left) -> Left:
    gone = left.logs.changelog[-1].key
    return logs(left, changelog=tuple(r for r in left.logs.changelog if r.key != gone))


def turned_interest(left: Left) -> Left:
    newest = left.logs.changelog[-1]
    profile = decode(newest.value or b"")
    short_D, _ = profile.interests.vectors()
    interests = replace(profile.interests, short=(-short_D).astype("<f2").tobytes())
    value = encode(replace(profile, interests=interests))
    return logs(left, changelog=(*left.logs.changelog, newest._replace(value=value)))


def interest_of_no_number(left: Left) -> Left:
    user_id, row = next((user, row) for user, row in left.rows.items() if row)
    broken = replace(row, short_vector=(float("nan"),) * len(row.short_vector))
    return replace(left, rows={**left.rows, user_id: broken})


def row_of_before(left: Left) -> Left:
    user_id, row = next((user, row) for user, row in left.rows.items() if row)
    short = replace(row, events=row.events - 1, recent_items=row.recent_items[:-1])
    return replace(left, rows={**left.rows, user_id: short})


def row_gone(left: Left) -> Left:
    return replace(left, rows={**left.rows, next(iter(left.rows)): None})


def row_with_another_mean(left: Left) -> Left:
    user_id, row = next((user, row) for user, row in left.rows.items() if row)
    return replace(left, rows={**left.rows, user_id: replace(row, mean_price=row.mean_price + 1)})


def no_answer(left: Left) -> Left:
    """One request has none, however often it was sent."""
    log = left.logs.recommendations
    of = [decode_recommendation(record.value or b"").request_id for record in log]
    kept = tuple(record for record, request_id in zip(log, of, strict=True) if request_id != of[0])
    return logs(left, recommendations=kept)


def other_answer(left: Left) -> Left:
    record = left.logs.recommendations[0]
    answer: Recommendation = decode_recommendation(record.value or b"")
    other = replace(answer, items=(RecommendedItem(item_id="other", score=1.0),))
    twin = record._replace(value=json_encode(other))
    return logs(left, recommendations=(*left.logs.recommendations, twin))


def other_answer_id(left: Left) -> Left:
    record = left.logs.recommendations[0]
    answer: Recommendation = decode_recommendation(record.value or b"")
    twin = record._replace(value=json_encode(replace(answer, recommendation_id="other")))
    return logs(left, recommendations=(*left.logs.recommendations, twin))


def learner_behind(left: Left) -> Left:
    return logs(left, examples=(*left.logs.examples, left.logs.examples[-1]._replace(offset=9_999)))


def checkpoint(**changes: int) -> Callable[[Left], Left]:
    def change(left: Left) -> Left:
        found = left.checkpoint
        assert found is not None
        new = {name: getattr(found, name) + by for name, by in changes.items()}
        return replace(left, checkpoint=replace(found, **new))

    return change


DAMAGE: list[tuple[str, Callable[[Left], Left], str, str]] = [
    ("raw record without a fate", lost_event, "lost", "has no fate"),
    (
        "example missing",
        lambda left: logs(left, examples=without(left.logs.examples)),
        "lost",
        "has no example",
    ),
    (
        "dead letter missing",
        lambda left: logs(left, dead_letters=left.logs.dead_letters[1:]),
        "lost",
        "should be a dead letter",
    ),
    ("event applied twice", second_example, "double", "has examples of"),
    ("two fates", letter_of_a_good_record, "double", "and on `events` too"),
    ("repeat that differs", other_repeat, "state_mismatches", "history"),
    ("event that differs", other_event, "state_mismatches", "has another quantity"),
    ("event from nowhere", event_from_nowhere, "state_mismatches", "which nobody sent"),
    ("letter's bytes", letter_with_other_bytes, "state_mismatches", "other bytes"),
    ("letter's reason", letter_for_another_reason, "state_mismatches", "refused for 'failed'"),
    ("state behind", state_behind, "lost", "applied.offset is"),
    ("state that counted twice", state_twice, "double", "counts"),
    ("state gone", state_gone, "lost", "has no profile"),
    ("interest", turned_interest, "state_mismatches", "short interest is"),
    ("interest of no number", interest_of_no_number, "state_mismatches", "short_vector is"),
    ("row of before", row_of_before, "state_mismatches", "events is"),
    ("row gone", row_gone, "state_mismatches", "no row in the online store"),
    ("row's mean", row_with_another_mean, "state_mismatches", "mean_price is"),
    ("no answer", no_answer, "unanswered", "has no answer"),
    ("another list", other_answer, "unanswered", "answers that differ"),
    ("another id", other_answer_id, "unanswered", "answers that differ"),
    ("learner behind", learner_behind, "state_mismatches", "has read to"),
    ("learnt twice", checkpoint(learnt=1), "double", "the learner learnt"),
    ("forgotten", checkpoint(learnt=-1), "state_mismatches", "the learner learnt"),
]


@pytest.mark.parametrize(
    ("plant", "fault", "words"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE]
)
def test_damage_is_found(
    whole: Left, plant: Callable[[Left], Left], fault: str, words: str
) -> None:
    verdict = judge(plant(whole))
    assert not verdict.clean
    assert getattr(verdict, fault) > 0, verdict
    assert any(words in difference for difference in verdict.differences), verdict.differences


def test_no_checkpoint_is_read_as_one_of_nothing(whole: Left, tmp_path: Path) -> None:

    verdict = judge(replace(whole, checkpoint=newest_checkpoint(tmp_path)))
    assert verdict.state_mismatches >= 2
