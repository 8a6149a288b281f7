"""One simulation: what is drawn, how it ends, and what the verdict is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from random import Random
from typing import NamedTuple

from features.store import UserFeatures
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.topics import Topics
from tests.chaos.topic_log import Logs, changelog_topic
from tests.chaos.verdict import Left, Verdict, judge
from tests.simulation.broker import BROKER_AWAY, Broker, Group
from tests.simulation.learner_worker import Folder, LearnerWorker, checkpoint_in, plain_learners
from tests.simulation.loop import Loop
from tests.simulation.member import Member
from tests.simulation.profile_worker import ProfileWorker
from tests.simulation.serving_worker import ServingWorker
from tests.simulation.shop import SimShop, catalogue, item_records
from tests.simulation.store import SimStore
from tests.simulation.table import Disk

PREFIX = "sim."
PARTITIONS = 2
REQUESTS = 0.15
"""Of what is sent, how much asks for a list."""

AIMED = frozenset(
    {"flush", "flushed", "published", "amid publish", "commit", "committed", "thread done"}
)
"""Where faults hurt most: just after an effect, or between the question and the act."""

MOST_DRAIN = 20_000
"""Steps of a drain: far above what any takes, so that a stuck one is an error, not a hang."""

CATALOGUE = catalogue()
ITEM_RECORDS = item_records()


class Outcome(NamedTuple):
    """What a simulation came to."""

    seed: int
    verdict: Verdict
    digest: str
    steps: int
    faults: int


class World:
    """Everything that is there, and the draw of what happens next.

    Parameters
    ----------
    seed
        Decides everything.
    faults
        How much goes wrong: 1 as usual, 0 nothing at all.
    """

    profile_worker: type[ProfileWorker] = ProfileWorker
    learner_worker: type[LearnerWorker] = LearnerWorker
    serving_worker: type[ServingWorker] = ServingWorker

    def __init__(self, seed: int, *, faults: float = 1.0, folder: Path | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.clock = ManualClock(start_ms=1_777_626_000_000)
        self.broker = Broker(PARTITIONS, self.clock)
        self.kafka = KafkaConfig(topic_prefix=PREFIX, partitions=PARTITIONS)
        self.topics = Topics(PREFIX)
        self.away: set[str] = set()
        self.store = SimStore(self.away, self.rng)
        self.shop = SimShop(self.rng, self.clock)
        self.loop = Loop()
        self.trace = hashlib.blake2b(digest_size=16)
        self.steps = 0
        self.faults_done = 0
        self._faults = faults
        self._remembers = self.rng.choice((1, 5, 1_000))
        self._disks: dict[str, dict[int, Disk]] = {}
        self.groups: dict[str, Group] = {}
        self.members: dict[str, Member] = {}
        self.standing: dict[str, list[str]] = {}
        for record in ITEM_RECORDS:
            self.broker.append(self.topics.item_vectors, record)
        self.folder: Path | Folder = Folder() if folder is None else folder
        with self._plain():
            inputs = (*self.topics.raw_events, self.topics.events)
            self._add_group("ip", "ingest-profile", inputs, 2)
            self._add_group("learner", "learner", (self.topics.examples,), 1)
            self._add_group("serving", "serving", (self.topics.requests,), 2)

    def _plain(self) -> AbstractContextManager[None]:
        return plain_learners() if isinstance(self.folder, Folder) else nullcontext()

    def _add_group(self, kind: str, role: str, topics: Iterable[str], members: int) -> None:
        self.groups[kind] = Group(f"{PREFIX}{role}", tuple(topics), self.broker)
        self.standing[kind] = [f"{kind}-{n}" for n in range(members)]
        for name in self.standing[kind]:
            self.members[name] = self.make(name)
        self._settle(kind, ())

    def make(self, name: str) -> Member:
        """Start a process."""
        kind = _kind(name)
        process = (name, self.groups[kind], self.broker, self.rng)
        if kind == "learner":
            return self.learner_worker(
                *process,
                kafka=self.kafka,
                folder=self.folder,
                catalog=CATALOGUE,
                clock=self.clock,
            )
        if kind == "serving":
            return self.serving_worker(
                *process,
                kafka=self.kafka,
                store=self.store,
                catalog=CATALOGUE,
                clock=self.clock,
            )
        return self.profile_worker(
            *process,
            kafka=self.kafka,
            disks=self._disks.setdefault(name, {}),
            store=self.store,
            catalog=CATALOGUE,
            clock=self.clock,
            remembers=self._remembers,
        )

    # Steps ----------------------------------------------------------------------------------------

    def run(self, steps: int) -> Outcome:
        """Take so many drawn steps, then drain and judge."""
        with self.running():
            for _ in range(steps):
                self.step()
            self.drain()
        return self.outcome()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The loop runs in this thread, and the learner finds its parts."""
        with self.loop.running(), self._plain():
            yield

    def step(self) -> None:
        """Draw one thing that happens next, and let it happen."""
        self.steps += 1
        draw = self.rng.random()
        if draw < 0.2:
            self.send()
        elif draw < 0.26:
            self.clock.advance(self.rng.choice((0.001, 0.1, 1.0, 30.0)))
        elif draw < 0.26 + 0.05 * self._faults:
            self.fault()
        else:
            self.work()

    def send(self) -> None:
        """A producer sends a few records."""
        for _ in range(self.rng.randrange(1, 5)):
            sent = self.shop.event() if self.rng.random() > REQUESTS else self.shop.request()
            self.broker.append(f"{PREFIX}{sent.kind}", sent.record)
            self.note("sent", sent.kind)

    def work(self) -> None:
        """Some process goes on: with a task in hand, a new run, or a commit."""
        movable = [m for m in self.members.values() if m.state in ("up", "zombie")]
        if not movable:
            return
        member = self.rng.choice(movable)
        choices = list(member.runnable())
        idle = [topic for topic in member.group.topics if topic not in member.tasks]
        fresh = [tp for topic in idle for tp in member.unread(topic)]
        weight = len(choices) * 4 + len(fresh) * 2 + 1
        draw = self.rng.randrange(weight)
        if draw < len(choices) * 4:
            self.advance(member, choices[draw // 4])
        elif draw < weight - 1:
            member.fetch(fresh[(draw - len(choices) * 4) // 2])
            self.note(member.name, "fetch")
        elif isinstance(member, LearnerWorker) and self.rng.random() < 0.5:
            member.tick()
            self.note(member.name, "tick")
        else:
            member.commit()
            self.note(member.name, "commit")

    def advance(self, member: Member, task: str) -> None:
        """Let a task go on; where its neighbour is away, it hears so."""
        point = member.tasks[task].at
        error = None
        if point is not None and point.may_fail in self.away:
            error = BROKER_AWAY
        self.note(member.name, task, point.name if point else "", "fails" if error else "")
        member.step(task, error)
        self.loop.turn()

    # Faults ---------------------------------------------------------------------------------------

    def fault(self) -> None:
        """Something breaks, or is mended."""
        self.faults_done += 1
        member = self.members[self.rng.choice(sorted(self.members))]
        aimed = [m for m in self.members.values() if m.state == "up" and m.stands_at(AIMED)]
        if aimed and self.rng.random() < 0.6:
            member = self.rng.choice(aimed)
        draw = self.rng.random()
        if draw < 0.2:
            self.toggle(self.rng.choice(("broker", "store")))
        elif member.state == "up" and draw < 0.5:
            self.kill(member)
        elif member.state == "up" and draw < 0.75:
            self.give_up(member)
        elif member.state == "up":
            self.rebalance(member.name)
        elif member.state == "down":
            self.restart(member)
        else:
            self.wake(member)

    def toggle(self, neighbour: str) -> None:
        """Take a neighbour away, or bring it back."""
        self.away.symmetric_difference_update({neighbour})
        self.note(neighbour, "away" if neighbour in self.away else "back")

    def kill(self, member: Member) -> None:
        """Kill -9; the group notices now, or only when it is started again."""
        member.kill()
        self.note(member.name, "killed")
        if self.rng.random() < 0.5:
            self._settle(_kind(member.name), (member.name,))

    def give_up(self, member: Member) -> None:
        """The group gives a process up that is still at work, or that was stopped in its tracks."""
        member.state = "zombie" if self.rng.random() < 0.5 else "paused"
        self.note(member.name, member.state)
        self._settle(_kind(member.name), (member.name,))

    def wake(self, member: Member) -> None:
        """A stopped process goes on, first without a notion of it; a zombie learns what it is."""
        if member.state == "paused":
            member.state = "zombie"
            self.note(member.name, "wakes")
            return
        member.state = "up"
        self.rebalance(member.name)

    def restart(self, member: Member) -> None:
        """Start a process again, on its old disk."""
        self.members[member.name] = self.make(member.name)
        self.rebalance(member.name)

    def rebalance(self, name: str) -> None:
        """Someone joins, or just asks for it: those that are there end what they have in hand."""
        self.note(name, "joins")
        self._settle(_kind(name), ())

    def _settle(self, kind: str, without: tuple[str, ...]) -> None:
        """A new generation of those that are up; most end their runs before it begins."""
        members = [self.members[name] for name in self.standing[kind] if name not in without]
        members = [member for member in members if member.state == "up"]
        for member in members:
            if self.rng.random() < 0.7:
                self.finish(member)
        self.groups[kind].settle([member.name for member in members])
        for member in members:
            member.joined()

    def finish(self, member: Member) -> None:
        """Let a process end what it has in hand, as far as its neighbours are there, and commit."""
        self._until(member, lambda: not (member.tasks.keys() - {"commit"}))
        member.end()
        self._until(member, lambda: "drain" not in member.tasks)
        member.commit()
        self._until(member, lambda: "commit" not in member.tasks)

    def _until(self, member: Member, done: Callable[[], bool]) -> None:
        hopeless = self.away or not member.in_group()
        for _ in range(40 if hopeless else MOST_DRAIN):
            if done():
                return
            ready = list(member.runnable())
            if not ready:
                return
            self.advance(member, self.rng.choice(ready))

    # The end --------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Mend everything, and let the workers come to the end of all topics."""
        self.away.clear()
        for name in sorted(self.members):
            member = self.members[name]
            if member.state in ("paused", "zombie") and self.rng.random() < 0.5:
                member.state = "zombie"
                self.finish(member)
            if member.state != "up":
                member.kill()
                self.members[name] = self.make(name)
        for kind in self.groups:
            self._settle(kind, ())
        for _ in range(MOST_DRAIN):
            if not self._busy():
                break
            self.work()
        else:
            message = f"seed {self.seed}: not drained after {MOST_DRAIN} steps"
            raise AssertionError(message)
        for member in self.members.values():
            self.finish(member)
            member.kill()

    def _busy(self) -> bool:
        return any(
            member.tasks or any(member.unread(topic) for topic in member.group.topics)
            for member in self.members.values()
        )

    def outcome(self) -> Outcome:
        """Judge what is left."""
        left = self.left()
        for tp in sorted(self.broker.logs):
            self.trace.update(repr((tp, self.broker.logs[tp])).encode())
        verdict = judge(left)
        return Outcome(self.seed, verdict, self.trace.hexdigest(), self.steps, self.faults_done)

    def left(self) -> Left:
        """What the verdict looks at."""
        topic, names = self.broker.topic, self.topics
        logs = Logs(
            clicks=topic(names.clicks),
            purchases=topic(names.purchases),
            reviews=topic(names.reviews),
            events=topic(names.events),
            examples=topic(names.examples),
            dead_letters=topic(names.dead_letters),
            requests=topic(names.requests),
            recommendations=topic(names.recommendations),
            changelog=topic(changelog_topic(PREFIX)),
            item_vectors=topic(names.item_vectors),
        )
        return Left(
            logs=logs,
            rows=self._rows(logs),
            checkpoint=checkpoint_in(self.folder),
            catalogue_whole=True,
        )

    def _rows(self, logs: Logs) -> dict[str, UserFeatures | None]:
        users = sorted({(record.key or b"").decode() for record in logs.events})
        return dict(zip(users, self.store.read(users), strict=True))

    def note(self, *words: str) -> None:
        """Add a line to the trace."""
        self.trace.update("\t".join(words).encode() + b"\n")


def _kind(name: str) -> str:
    return name.partition("-")[0]


def simulate(seed: int, steps: int = 500, folder: Path | None = None) -> Outcome:
    """Run one seed."""
    return World(seed, folder=folder).run(steps)
