"""The verdict: everything that a run left behind, compared row by row with the reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from features.store import OnlineStore, UserFeatures
from learner.snapshot import Snapshots
from stream.connect import KafkaConfig
from stream.events import Example, Recommendation, decode_example, decode_recommendation
from tests.chaos.findings import Findings, Verdict
from tests.chaos.reference import EventKey, Place, single_pass
from tests.chaos.reference_interest import Items
from tests.chaos.reference_raw import Said, read_event, read_request
from tests.chaos.topic_log import Log, Logged, Logs, read_logs
from tests.chaos.verdict_records import Letters, judge_examples, judge_fates, shown
from tests.chaos.verdict_users import judge_rows, judge_states, newest_states

__all__ = ["Checkpoint", "Left", "Verdict", "judge", "newest_checkpoint", "read_left"]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner's newest checkpoint says.

    Attributes
    ----------
    consumed
        Where it reads on, by partition of `examples`.
    offsets
        The first offset that is not learnt, by partition of `events`.
    learnt
        Examples learnt.
    waiting
        Examples that wait for their items.
    """

    consumed: dict[int, int]
    offsets: dict[int, int]
    learnt: int
    waiting: int = 0


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run left behind, once every role had nothing more to do.

    Attributes
    ----------
    rows
        The online store, by user.
    checkpoint
        The learner's newest; `None` where no learner took part.
    catalogue_whole
        Whether all of `item_vectors` was known to every role before the first event, and stayed.
    """

    logs: Logs
    rows: Mapping[str, UserFeatures | None]
    checkpoint: Checkpoint | None = None
    catalogue_whole: bool = False


def judge(left: Left) -> Verdict:
    """Compare what a run left with what it should have."""
    logs, findings = left.logs, Findings()
    letters = Letters(logs.dead_letters)
    items = Items(logs.item_vectors if left.catalogue_whole else ())
    reference = single_pass(logs.events, items, _places(logs.examples))
    findings.counts["counted_again"] = len(reference.again)
    judge_fates(read_raw(logs), letters, reference, findings)
    examples = judge_examples(logs.examples, reference, findings)
    states = newest_states(logs.changelog, findings)
    judge_states(states, reference, examples, findings)
    judge_rows(left.rows, states, reference, findings)
    judge_answers(logs.requests, logs.recommendations, letters, findings)
    _judge_letters(logs, letters, findings)
    if left.checkpoint is not None:
        _judge_checkpoint(left.checkpoint, logs.examples, examples, items, findings)
    return findings.verdict()


def read_left(
    kafka: KafkaConfig, store: OnlineStore, models: Path | None, *, catalogue_whole: bool
) -> Left:
    """Read everything back: the topics, the online store, the learner's newest checkpoint.

    Parameters
    ----------
    models
        The folder of the learner, in which `checkpoints` lies; `None` where there is no learner.
    """
    logs = read_logs(kafka)
    users = sorted(single_pass(logs.events, Items()).users)
    return Left(
        logs=logs,
        rows=dict(zip(users, store.read(users), strict=True)),
        checkpoint=newest_checkpoint(models) if models else None,
        catalogue_whole=catalogue_whole,
    )


def newest_checkpoint(models: Path) -> Checkpoint:
    """Read the newest checkpoint that is whole; one that is all zero where there is none."""
    saved = Snapshots(models / "checkpoints", keep=2).newest()
    if saved is None:
        return Checkpoint(consumed={}, offsets={}, learnt=0)
    waiting = msgspec.msgpack.decode(saved.arrays["late/examples"].tobytes(), type=list[Example])
    return Checkpoint(
        consumed={int(partition): at for partition, at in saved.meta["consumed"].items()},
        offsets={int(partition): at for partition, at in saved.meta["offsets"].items()},
        learnt=saved.meta["learnt"],
        waiting=len(waiting),
    )


def _places(examples: Log) -> set[Place]:
    made = (decode_example(record.value or b"") for record in examples)
    return {(example.partition, example.offset) for example in made}


def read_raw(logs: Logs) -> Iterator[Said]:
    """What every raw record says."""
    for kind, log in zip(_RAW, (logs.clicks, logs.purchases, logs.reviews), strict=True):
        for record in log:
            yield read_event(kind, record)


_RAW = ("clicks", "purchases", "reviews")


def judge_answers(
    requests: Log, recommendations: Log, letters: Letters, findings: Findings
) -> None:
    """Every request has an answer; all that answer one request carry one id and one list."""
    answers: dict[tuple[str, str], list[Recommendation]] = defaultdict(list)
    for record in recommendations:
        answer = decode_recommendation(record.value or b"")
        if answer.request_id is not None:
            answers[answer.user_id, answer.request_id].append(answer)
    asked = set()
    for record in requests:
        findings.counts["requests"] += 1
        said, where = read_request(record), f"{record.name} ({shown(record.value)})"
        refused = bool(letters.of(record))
        if said.faults and not refused:
            findings.note("unanswered", f"{where} should be a dead letter for {set(said.faults)}")
        if said.faults:
            continue
        asked.add(said.key)
        if refused:
            findings.note("state_mismatches", f"{where} is right, and a dead letter")
        if said.key not in answers:
            findings.note("unanswered", f"{where} has no answer")
    for key, mine in answers.items():
        if key not in asked:
            findings.note("state_mismatches", f"an answer to {key}, who did not ask")
        if len({_list(answer) for answer in mine}) > 1:
            ids = sorted({answer.recommendation_id for answer in mine})
            findings.note("unanswered", f"{key} has answers that differ, under {ids}")


def _list(answer: Recommendation) -> tuple[object, ...]:
    return (answer.recommendation_id, *(item.item_id for item in answer.items))


def _judge_letters(logs: Logs, letters: Letters, findings: Findings) -> None:
    """Nothing that we write ourselves is refused, and no letter is of a record that isn't there."""
    sent = chain(logs.clicks, logs.purchases, logs.reviews, logs.requests)
    for place in letters.by_place.keys() - {record.name for record in sent}:
        findings.note("state_mismatches", f"a dead letter of {place}, which no producer sent")


def _judge_checkpoint(
    checkpoint: Checkpoint,
    log: Sequence[Logged],
    examples: Mapping[EventKey, Example],
    items: Items,
    findings: Findings,
) -> None:
    """The learner has read `examples` to the end, and learnt each once."""
    ends = _ends((record.partition, record.offset) for record in log)
    if checkpoint.consumed != ends:
        words = f"the learner's checkpoint has read to {checkpoint.consumed}, `examples` end at"
        findings.note("state_mismatches", f"{words} {ends}")
    offsets = _ends((example.partition, example.offset) for example in examples.values())
    if checkpoint.offsets != offsets:
        words = f"the learner has learnt events to {checkpoint.offsets}, they end at {offsets}"
        findings.note("state_mismatches", words)
    known = sum(example.item_id in items for example in examples.values())
    learnt, waiting = checkpoint.learnt, checkpoint.waiting
    if learnt > (known if items.known else len(examples)):
        words = f"the learner learnt {learnt} examples, {len(examples)} exist"
        findings.note("double", words, learnt - known)
    if items.known and (learnt, waiting) != (known, len(examples) - known):
        words = f"the learner learnt {learnt} and holds {waiting} back: of {len(examples)} events"
        findings.note("state_mismatches", f"{words} {known} are of known items")


def _ends(places: Iterable[tuple[int, int]]) -> dict[int, int]:
    ends: dict[int, int] = {}
    for partition, offset in places:
        ends[partition] = max(offset + 1, ends.get(partition, 0))
    return ends
