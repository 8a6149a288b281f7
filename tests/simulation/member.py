"""A process in a consumer group that reads in runs and commits by the product's ledger."""

from __future__ import annotations

from collections.abc import Container, Iterator
from random import Random

from stream.batching import PlainRecord, Run
from stream.errors import Unavailable
from stream.ledger import Ledger, Ticket
from tests.simulation.broker import TP, Broker, Group
from tests.simulation.loop import Point, Task

MOST = 12
"""Records of a run: enough for several users, few enough for many runs."""


class Delivery:
    """A run in an agent's hands; passes for `stream.guard.Delivery`."""

    def __init__(self, member: Member, ticket: Ticket) -> None:
        self._member = member
        self._epoch = member.epoch
        self.ticket = ticket

    def ack(self) -> bool:
        """Count the run as done."""
        if self.ticket.done:
            return False
        self.ticket.done = True
        return True

    @property
    def current(self) -> bool:
        """Whether no seek has happened since the fetch."""
        return self._epoch == self._member.epoch


class Member:
    """One process: what it reads, what it has in hand, and what it may commit.

    Attributes
    ----------
    state
        `up`; `paused`, when it is there and does nothing; `zombie`, when it goes on although the
        group has given it up; `down`.
    """

    ledger: type[Ledger] = Ledger

    def __init__(self, name: str, group: Group, broker: Broker, rng: Random) -> None:
        self.name = name
        self.state = "up"
        self.epoch = 0
        self.group = group
        self.broker = broker
        self.rng = rng
        self.tasks: dict[str, Task] = {}
        self.partitions: list[TP] = []
        self._generation = -1
        self._positions: dict[TP, int] = {}
        self._ledgers: dict[TP, Ledger] = {}

    # To be filled in by a role ------------------------------------------------------------------

    async def handle(self, run: Run, delivery: Delivery) -> None:
        """Handle a run, to its end."""
        raise NotImplementedError

    def recover(self) -> None:
        """Get ready for the partitions that were assigned."""

    async def flush(self) -> None:
        """What has to be on the broker before a commit."""

    async def drain(self) -> None:
        """Last words before a stop or a rebalance."""

    def start_offset(self, tp: TP) -> int | None:
        """Where a role that keeps its own offsets reads on."""
        del tp
        return None

    # The group ----------------------------------------------------------------------------------

    def joined(self) -> None:
        """A new generation has begun, and this process knows: a seek to where work begins."""
        self._generation = self.group.generation
        self.partitions = list(self.group.assigned.get(self.name, ()))
        self.epoch += 1
        self._ledgers.clear()
        self._positions.clear()
        self.recover()
        for tp in self.partitions:
            committed, own = self.group.committed(tp), self.start_offset(tp)
            starts = [at for at in (committed, own) if at is not None]
            self._positions[tp] = min(starts, default=0)
            self._ledgers[tp] = self.ledger(committed)

    def in_group(self) -> bool:
        """Whether the group counts this process in."""
        return self._generation == self.group.generation

    def unread(self, topic: str) -> list[TP]:
        """The partitions of a topic with records that this process hasn't fetched."""
        return [
            tp
            for tp in self.partitions
            if tp[0] == topic and self._positions[tp] < self.broker.end(tp)
        ]

    def fetch(self, tp: TP) -> None:
        """Take a run from a partition in hand."""
        topic, partition = tp
        start = self._positions[tp]
        found = self.broker.read(tp, start, 1 + self.rng.randrange(MOST))
        records = [PlainRecord(r.key, r.value, r.offset, r.timestamp_ms, r.headers) for r in found]
        run = Run(topic, partition, records)
        self._positions[tp] = run.last_offset + 1
        delivery = Delivery(self, self._ledgers[tp].fetched(run.last_offset))
        name = f"{topic}-{partition}@{start}+{len(records)}"
        self.tasks[topic] = Task(name, self.handle(run, delivery))

    def end(self) -> None:
        """Begin the last words before a stop or a rebalance."""
        if "drain" not in self.tasks:
            self.tasks["drain"] = Task("drain", self.drain())

    def commit(self) -> None:
        """Begin a commit, if there is none under way."""
        if "commit" not in self.tasks:
            self.tasks["commit"] = Task("commit", self._commit())

    async def _commit(self) -> None:
        ledgers = dict(self._ledgers)
        offsets = {tp: at for tp, ledger in ledgers.items() if (at := ledger.committable())}
        try:
            await self.flush()
        except Unavailable:
            return
        mine = {tp: at for tp, at in offsets.items() if self._ledgers.get(tp) is ledgers[tp]}
        if not mine:
            return
        try:
            await Point("commit", may_fail="broker")
            if not self.group.commit(self._generation, mine):
                return
            await Point("committed", may_fail="broker")
        except Unavailable:
            return
        for tp, offset in mine.items():
            ledgers[tp].committed(offset)

    # Steps ----------------------------------------------------------------------------------------

    def runnable(self) -> Iterator[str]:
        """The tasks in hand that can go on."""
        return (name for name, task in self.tasks.items() if task.runnable)

    def stands_at(self, points: Container[str]) -> bool:
        """Whether a task in hand stands at one of these points."""
        return any(task.at is not None and task.at.name in points for task in self.tasks.values())

    def step(self, name: str, error: Exception | None = None) -> None:
        """Let a task go on to its next stop."""
        task = self.tasks[name]
        try:
            task.step(error)
        finally:
            if task.done and self.tasks.get(name) is task:
                del self.tasks[name]

    def kill(self) -> None:
        """Forget everything that is in memory."""
        for task in self.tasks.values():
            task.drop()
        self.tasks.clear()
        self.state = "down"
