"""What becomes of records that we fail on ourselves: found in their run, refused, counted.

A producer's rubbish is a dead letter at once, whatever there is of it. That a record fails for a
reason on our side (an exception that nobody expected, a record of a topic that we write ourselves
and can't read) is another matter: perhaps it is the record, perhaps all records would fail.

```
run ─► handled ─► done
        │ fails
        ├─ tried again, `TRIES` times in all, after growing pauses
        ├─ cut in halves, in order, until what fails alone is found
        └─ what fails alone ─► counted ─┬─ too many of late ─► halt: nothing of the run is refused
                                        └─ few ─► dead letter `failed`; the rest is handled
```

The dead letters wait until all of the run is looked at, so that a fault that hits everything stops
the process before it has flooded the topic. `stream.halt_rule` says what is too many.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from stream.batching import Record, Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.deadletter import dead_letter, publish_letters
from stream.errors import Halt, TooManyRefused, Unavailable
from stream.halt_rule import HaltRule
from stream.metrics import DEAD_LETTERS, REFUSED_OURS
from stream.outgoing import Outgoing, Publishes
from stream.topics import Topics

TRIES = 3
"""Of a run with something in it that fails. A fault that passes by itself is gone by then."""

PAUSE_S = 0.1
"""After the first failed try, doubled each time: the neighbours of a bad record wait for it."""

MAX_WORDS = 400
"""Of an error in a log line: some hold the whole value."""

PROCESS_FAULTS = (Unavailable, Halt, OSError, MemoryError)
"""What says nothing about a record: it is waited out, or stops the process."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Refused(NamedTuple):
    """A record that failed on us, where it stood, with what, and at which try."""

    topic: str
    partition: int
    record: Record
    error: Exception
    tries: int = TRIES

    def __str__(self) -> str:
        """In words, for logs and errors."""
        words = f"{type(self.error).__name__}: {self.error}"
        return f"{self.topic}[{self.partition}]@{self.record.offset}: {words[:MAX_WORDS]}"


class Refusing:
    """The refusals of one agent, wherever its dead letters go.

    Parameters
    ----------
    role
        Who refuses.
    clock
        The time of day.
    """

    def __init__(self, role: str, clock: Clock) -> None:
        self.role = role
        self.rule = HaltRule()
        self._clock = clock
        self._gauge = REFUSED_OURS.labels(role=role)
        self._read_up_to: dict[tuple[str, int], int] = {}
        self._last_kind: type[Exception] | None = None  # its traceback is in the log already

    def read(self, run: Run, read: Callable[[Record], T]) -> tuple[list[T], list[Refused]]:
        """Read the records of a topic that we write: what they hold, and those that can't be read.

        For agents that hold their runs back, so that no run can be cut. Each record is read once:
        its bytes won't change. A run that is read again isn't counted again.
        """
        values: list[T] = []
        refused: list[Refused] = []
        for record in run.records:
            try:
                values.append(read(record))
            except PROCESS_FAULTS:
                raise
            except Exception as error:
                refused.append(Refused(run.topic, run.partition, record, error, tries=1))
        self.count(run, refused)
        return values, refused

    def count(self, run: Run, refused: Sequence[Refused]) -> None:
        """Count the records of a run, in order, unless they were counted before.

        Raises
        ------
        TooManyRefused
            If that is too many: nothing of the run may be acknowledged then.
        """
        place = run.topic, run.partition
        if run.last_offset <= self._read_up_to.get(place, -1):
            return
        by_offset = {one.record.offset: one for one in refused}
        for record in run.records:
            if (found := by_offset.get(record.offset)) is None:
                self.passed(*place, 1)
            else:
                self.refuse(found)
        self._read_up_to[place] = run.last_offset

    def passed(self, topic: str, partition: int, records: int) -> None:
        """Take note of records that were handled."""
        self.rule.passed(topic, partition, records)
        self._gauge.set(self.rule.recent)

    def refuse(self, refused: Refused) -> None:
        """Count a record that failed on us.

        Raises
        ------
        TooManyRefused
            If that is too many: nothing of the run may be acknowledged then.
        """
        too_many = self.rule.refused(refused.topic, refused.partition)
        self._gauge.set(self.rule.recent)
        if too_many is None:
            kind = type(refused.error)
            trace = refused.error if kind is not self._last_kind else None
            log.warning("role %s refuses %s", self.role, refused, exc_info=trace)
            self._last_kind = kind
            return
        message = (
            f"{self.role} failed on {too_many}, which can't be the producers' fault; the last one "
            f"is {refused}. Nothing of it is lost or acknowledged. Mend what fails (see the "
            "traceback), start again, and send what was refused until now with "
            "`tidemill dead-letters replay --reason failed`"
        )
        raise TooManyRefused(message) from refused.error

    def letter(self, refused: Refused) -> Outgoing:
        """Make the dead letter of a record that failed on us."""
        topic, partition, record, error, tries = refused
        now_ms = self._clock.now_ms()
        return dead_letter(
            record, topic, partition, self.role, error, now_ms, tries, reason="failed"
        )


class Refusals(Refusing):
    """The refusals of one agent, with the way to the dead letters.

    Parameters
    ----------
    role
        Who refuses.
    kafka, publisher, clock
        Where dead letters go, through whom, and when.
    counted
        Told of each topic whose record was refused, for the agent's own figures.
    """

    def __init__(
        self,
        role: str,
        kafka: KafkaConfig,
        publisher: Publishes,
        clock: Clock,
        counted: Callable[[str], None] = lambda _topic: None,
    ) -> None:
        super().__init__(role, clock)
        self._dead_letters = Topics(kafka.topic_prefix).dead_letters
        self._publisher = publisher
        self._counted = counted

    async def publish(self, refused: Sequence[Refused]) -> None:
        """Send the dead letters of a run, and count them once they are acked."""
        if refused:
            letters = [self.letter(one) for one in refused]
            await publish_letters(self._publisher, self._dead_letters, letters)
            for one in refused:
                DEAD_LETTERS.labels(role=self.role, reason="failed").inc()
                self._counted(one.topic)


class Sifting:
    """One run in an agent's hands; called again after `Unavailable`, it goes on where it was.

    Where the agent can make a run ready without any effect, the records that fail are found that
    way, and their letters are out before their neighbours have an effect: a user's later event must
    not go past one that may yet be handled, after a halt. Where it is the effects that fail, they
    are tried on parts of the run, in order.

    Parameters
    ----------
    refusals
        Of the agent.
    run
        What is to be handled.
    handle
        The agent's function. It must be safe to repeat, and a part on which it fails must have
        changed nothing that a repeat doesn't.
    pause
        Waits for so many seconds.
    prepare
        Does what `handle` does before its first effect, and throws it away.
    """

    def __init__(
        self,
        refusals: Refusals,
        run: Run,
        handle: Callable[[Run], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]],
        prepare: Callable[[Run], object] | None = None,
    ) -> None:
        self._refusals = refusals
        self._left = [run]
        self._handle = handle
        self._pause = pause
        self._prepare = prepare
        self._tries = 0
        self._prepared = False
        self._refused: list[Refused] = []

    async def __call__(self) -> None:
        """Take the run to its end: every record is handled, or a dead letter."""
        while self._left:
            if self._prepared:
                await self._publish()
            part = self._left[-1]
            try:
                await self._handle(part)
            except PROCESS_FAULTS:
                raise
            except Exception as error:
                await self._failed(part, error)
            else:
                self._left.pop()
                if not self._prepared:
                    self._refusals.passed(part.topic, part.partition, len(part.records))
        await self._publish()

    async def _publish(self) -> None:
        await self._refusals.publish(self._refused)
        self._refused = []

    async def _failed(self, part: Run, error: Exception) -> None:
        self._tries += 1
        if self._tries < TRIES:
            log.warning("role %s tries a run again: %r", self._refusals.role, error)
            await self._pause(pause_s(self._tries))
        elif self._tries == TRIES and self._prepare is not None:
            await self._sort_out(part, self._prepare)
        elif len(part.records) > 1:
            self._left[-1:] = halves(part)
        else:
            self._left.pop()
            self._refuse(Refused(part.topic, part.partition, part.records[0], error))

    async def _sort_out(self, run: Run, prepare: Callable[[Run], object]) -> None:
        """Leave of the run what can be made ready; all of it is counted, in order."""
        good: list[Record] = []
        left = [run]
        while left:
            part = left.pop()
            try:
                prepare(part)
            except PROCESS_FAULTS:
                raise
            except Exception as error:
                if len(part.records) > 1:
                    left += halves(part)
                else:
                    self._refuse(Refused(part.topic, part.partition, part.records[0], error))
            else:
                good += part.records
                self._refusals.passed(part.topic, part.partition, len(part.records))
            await asyncio.sleep(0)  # It may take a second; the heartbeat must not wait for it.
        self._prepared = True
        self._left = [run._replace(records=good)] if good else []

    def _refuse(self, refused: Refused) -> None:
        self._refusals.refuse(refused)
        self._refused.append(refused)


def halves(run: Run) -> tuple[Run, Run]:
    """Cut a run in two; the half that is handled first comes last, as on top of a stack."""
    half = len(run.records) // 2
    return run._replace(records=run.records[half:]), run._replace(records=run.records[:half])


def pause_s(tries: int) -> float:
    """Seconds to wait after so many failed tries, drawn so that workers don't keep step."""
    return float(PAUSE_S * 2 ** (tries - 1) * random.uniform(0.5, 1.0))
