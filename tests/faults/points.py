"""The crash points by name: where each role can be killed, and what is done and undone there.

A point is a function of the product, and whether the process dies before it, after it, or with
half of its last argument taken. The product knows nothing of this: `arm` wraps the function from
outside.
A function that was renamed is an error, not a point that is never reached.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

When = Literal["before", "after", "half"]


def _always(*_: Any) -> bool:
    return True


def _to(topic: str) -> Callable[..., bool]:
    """Whether a call publishes or sends something to a topic."""
    return lambda _, name, records: name.endswith(topic) and len(records) > 0


def _in(folder: str) -> Callable[..., bool]:
    """Whether a file, or a folder of snapshots, is below a folder of this name."""
    return lambda path, *_: folder in Path(getattr(path, "folder", path)).parts


def _has_something(_: Any, something: Any, *__: Any) -> bool:
    return bool(something)


class Point(NamedTuple):
    """Where a role can be killed.

    Attributes
    ----------
    at
        Module and function, as in `stream.ingest:Ingest.done`.
    when
        Before the call, after it, or after the call with half of its last argument.
    says
        What is done by then, and what isn't.
    where
        Which of its calls count as a pass.
    """

    role: str
    at: str
    when: When
    says: str
    where: Callable[..., bool] = _always


_INGEST, _LEARNER, _SERVING = "ingest-profile", "learner", "serving"
_PUBLISH = "stream.publish:Publisher.publish"

POINTS: dict[str, Point] = {
    "ingest-half-of-events": Point(
        _INGEST, _PUBLISH, "half", "half of a run's events are published", _to(".events")
    ),
    "ingest-events-published": Point(
        _INGEST,
        _PUBLISH,
        "after",
        "events are published, dead letters aren't",
        _to(".events"),
    ),
    "ingest-all-published": Point(
        _INGEST, "stream.ingest:Ingest.done", "after", "all is published, nothing acknowledged"
    ),
    "profile-row-written": Point(
        _INGEST,
        "features.store_feast:FeastStore.write",
        "after",
        "the online store has the rows, nobody has the examples",
        _has_something,
    ),
    "profile-half-of-examples": Point(
        _INGEST, _PUBLISH, "half", "half of a run's examples are published", _to(".examples")
    ),
    "profile-examples-published": Point(
        _INGEST, _PUBLISH, "after", "examples are published, no state is written", _to(".examples")
    ),
    "profile-amid-states": Point(
        _INGEST,
        "faust.stores.rocksdb:Store._set",
        "after",
        "some states of a run are in the local table, none on the changelog",
    ),
    "profile-states-written": Point(
        _INGEST,
        "stream.changes:Producer._send",
        "before",
        "all states are in the local table, none on the changelog",
    ),
    "profile-changelog-acked": Point(
        _INGEST,
        "stream.changes:Producer._send",
        "after",
        "the changelog has the states, nothing is acknowledged",
    ),
    "ingest-profile-before-commit": Point(
        _INGEST,
        "stream.transport:Consumer._commit_offsets",
        "before",
        "runs are acknowledged, their offsets not committed",
        _has_something,
    ),
    "ingest-profile-committed": Point(
        _INGEST,
        "stream.transport:Consumer._commit_offsets",
        "after",
        "the broker has the offsets; other runs are in flight",
        _has_something,
    ),
    "learner-learnt": Point(
        _LEARNER,
        "learner.online:OnlineLearner.learn_many",
        "after",
        "a micro-batch is learnt, in memory only",
        _has_something,
    ),
    "learner-half-a-checkpoint": Point(
        _LEARNER,
        "learner.snapshot:_write_flushed",
        "half",
        "half of a checkpoint's arrays are in their file",
        _in("checkpoints"),
    ),
    "learner-checkpoint-unnamed": Point(
        _LEARNER,
        "learner.snapshot:_flush_folder",
        "after",
        "a checkpoint is whole, under its temporary name",
        lambda path: _in("checkpoints")(path) and path.name.startswith(".writing"),
    ),
    "learner-checkpoint-renamed": Point(
        _LEARNER,
        "learner.snapshot:Snapshots.write",
        "after",
        "a checkpoint has its name; no version is made, nothing acknowledged",
        _in("checkpoints"),
    ),
    "learner-half-a-version": Point(
        _LEARNER,
        "learner.snapshot:_write_flushed",
        "half",
        "the checkpoint is there, half of the version's arrays are in their file",
        _in("versions"),
    ),
    "learner-version-written": Point(
        _LEARNER,
        "learner.snapshot:Snapshots.write",
        "after",
        "a version has its name, nobody was told",
        _in("versions"),
    ),
    "learner-announced": Point(
        _LEARNER,
        _PUBLISH,
        "after",
        "a version is announced, no run acknowledged",
        _to(".adapters"),
    ),
    "learner-before-commit": Point(
        _LEARNER,
        "stream.transport:Consumer._commit_offsets",
        "before",
        "runs are acknowledged, their offsets not committed",
        _has_something,
    ),
    "catalogue-half-of-vectors": Point(
        _LEARNER, _PUBLISH, "half", "half of a run's vectors are published", _to(".item-vectors")
    ),
    "catalogue-vectors-published": Point(
        _LEARNER,
        _PUBLISH,
        "after",
        "vectors are published, not committed",
        _to(".item-vectors"),
    ),
    "serving-answers-made": Point(
        _SERVING,
        "serving.answer:Answerer.answer",
        "after",
        "lists are made, none is sent",
        lambda _, work: bool(work.asks),
    ),
    "serving-transaction-open": Point(
        _SERVING,
        "serving.send_kafka:_Transactions.send_offsets",
        "before",
        "answers are sent in an open transaction, which has no offsets yet",
    ),
    "serving-before-commit": Point(
        _SERVING,
        "serving.send_kafka:_Transactions.end",
        "before",
        "answers and offsets are in a transaction that is still open",
    ),
    "serving-committed": Point(
        _SERVING,
        "serving.send_kafka:Outbox.commit",
        "after",
        "answers and their offsets are there to stay, and serving hasn't taken note",
        _has_something,
    ),
}
"""In the order in which an event flows."""


def arm(name: str, passes: int, die: Callable[[str], None] | None = None) -> None:
    """Wrap a point's function, so that the process dies at its n-th pass.

    Raises
    ------
    LookupError
        If there is no such point, or the product has no such function any more.
    """
    if name not in POINTS:
        msg = f"there is no crash point {name!r}: there are {', '.join(POINTS)}"
        raise LookupError(msg)
    point = POINTS[name]
    home, attribute, real = resolve(point.at)
    die = die or kill_myself
    left = passes

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            die(f"{name}, pass {passes}")

    setattr(home, attribute, wrapped(real, point, reached, lambda: left == 1))


def resolve(at: str) -> tuple[Any, str, Any]:
    """The module or class, the attribute's name, and the function of a point."""
    module, _, path = at.partition(":")
    home: Any = importlib.import_module(module)
    *classes, attribute = path.split(".")
    try:
        for part in classes:
            home = getattr(home, part)
        return home, attribute, vars(home)[attribute]
    except (AttributeError, KeyError) as error:
        msg = f"a crash point names {at}, which is no longer there: give the point its new place"
        raise LookupError(msg) from error


def wrapped(
    real: Callable[..., Any], point: Point, reached: Callable[[], None], due: Callable[[], bool]
) -> Callable[..., Any]:
    """The function of a point, which calls `reached` at each pass; `due` says whether to halve."""

    def before(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
        counts = bool(point.where(*arguments))
        if counts and point.when == "before":
            reached()
        if counts and point.when == "half" and due():
            *others, last = arguments
            arguments = (*others, last[: len(last) // 2])
        return arguments, counts and point.when != "before"

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def later(*arguments: Any, **named: Any) -> Any:
            arguments, counts = before(arguments)
            result = await real(*arguments, **named)
            if counts:
                reached()
            return result

        return later

    @functools.wraps(real)
    def now(*arguments: Any, **named: Any) -> Any:
        arguments, counts = before(arguments)
        result = real(*arguments, **named)
        if counts:
            reached()
        return result

    return now


def kill_myself(where: str) -> None:
    """Say where, and die as by kill -9: no `finally`, no flush, no farewell to the broker."""
    os.write(sys.stderr.fileno(), f"crash point {where}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
