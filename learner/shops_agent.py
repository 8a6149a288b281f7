"""The learners of all shops behind one topic of examples: one `ExamplesAgent` for each.

A run of `examples` is shared out by shop. It is acknowledged when every shop's part is: when each
checkpoint that has to include some of it is on the disk. Each shop publishes when it is due, so
none waits for one without events, and each leaves out what it has learnt by its own offsets.

Where to read on after a restart is the earliest place that any shop needs. Of a shop without events
the newest checkpoint may be days old; so `ShopsAgent.mark` keeps beside the checkpoints how far
each has been given all that is its own (`idle.json`, atomic). It is believed only for the
checkpoint that it was written with: after a damaged one, the shop reads on from the one before.

A shop's learner is made with its first example, or at the start if it has a checkpoint. Learners
take turns: one lock, one catalogue at rest at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from learner.examples_agent import ROLE, Acks, ExamplesAgent, read_example
from learner.snapshot import replace_file
from stream.batching import Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.events import Example
from stream.metrics import LEARNER_EXAMPLES
from stream.outgoing import Publishes
from stream.refusals import Refusals
from stream.tenants import ONE_SHOP, tenant_of

MARK_EVERY_S = 5.0
"""Pause between two marks: after a crash, a shop without events is read again from the last one."""

_FILE = "idle.json"

log = logging.getLogger(__name__)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shop has been given its examples, all of which one checkpoint includes.

    `consumed` is the next offset by partition of `examples`; `checkpoint` 0 stands for none: there
    were no examples.
    """

    checkpoint: int
    consumed: dict[int, int]


class _Shared:
    """A run in several learners' hands, acknowledged by the last of them."""

    def __init__(self, delivery: Acks, parts: int) -> None:
        self._delivery = delivery
        self._left = parts

    def ack(self) -> None:
        self._left -= 1
        if not self._left:
            self._delivery.ack()


def folder_of(folder: Path, tenant: str) -> Path:
    """Where a shop's checkpoints and versions are; those of the shop without a name stand above.

    >>> folder_of(Path("models"), ""), folder_of(Path("models"), "acme")
    (PosixPath('models'), PosixPath('models/tenants/acme'))
    """
    return folder / "tenants" / tenant if tenant else folder


class ShopsAgent:
    """The agent's function and its clockwork, free of Faust, for all shops.

    Parameters
    ----------
    make
        Makes a shop's agent, with `lock` and with its own folder; it may take seconds.
    lock
        Held while any of them learns.
    folder
        Where the folders of the shops are.
    tenants
        The shops beside the one without a name. Where there are none, that one's agent is made at
        once, and nothing is kept beside its checkpoints.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        publisher: Publishes,
        clock: Clock,
        folder: Path,
        lock: asyncio.Lock,
        make: Callable[[str], ExamplesAgent],
        tenants: Collection[str] = ONE_SHOP,
    ) -> None:
        self._refusals = Refusals(ROLE, kafka, publisher, clock)
        self._clock = clock
        self._folder = folder
        self._lock = lock
        self._make = make
        self._known = frozenset({"", *tenants})
        self._several = bool(tenants)
        self._marks = _read(folder / _FILE) if tenants else {}
        self._marked_s = clock.monotonic_s()
        self._strangers: set[str] = set()
        self.agents: dict[str, ExamplesAgent] = {}
        self._without: dict[str, dict[int, int]] = {}
        for tenant in sorted(self._known):
            if not self._several or (folder_of(folder, tenant) / "checkpoints").is_dir():
                self.agents[tenant] = make(tenant)
            else:
                self._without[tenant] = {}
            checkpoint = self.agents[tenant].checkpoint if tenant in self.agents else 0
            mark = self._marks.get(tenant)
            if mark is not None and mark.checkpoint == checkpoint:
                self._given(tenant, mark.consumed)

    def restore(self) -> None:
        """Go on from the newest whole checkpoints, once the catalogues are loaded."""
        for agent in self.agents.values():
            agent.restore()

    def prepare(self) -> None:
        """Load what the first review would have to wait for."""
        for agent in self.agents.values():
            agent.prepare()

    def start_offsets(self, committed: Mapping[int, int | None]) -> Mapping[int, int]:
        """Where to read `examples` on, by partition; nowhere else than where it begins, if none.

        What the group has committed, all shops have learnt: one that has no mark needs no more.
        """
        starts: dict[int, int] = {}
        for partition, at in committed.items():
            needed = [self._needed(tenant).get(partition, at) for tenant in self._known]
            places = [offset for offset in needed if offset is not None]
            if len(places) == len(needed):
                starts[partition] = min(places)
        return starts

    async def take(self, run: Run, delivery: Acks) -> None:
        """Give each shop's learner its part of a run."""
        found, refused = self._refusals.read(run, read_example)
        await self._refusals.publish(refused)
        parts: dict[str, list[Example]] = {} if self._several else {"": []}
        for example in found:
            parts.setdefault(tenant_of(example.user_id), []).append(example)
        for stranger in parts.keys() - self._known:
            self._leave_out(stranger, len(parts.pop(stranger)))
        for tenant in parts.keys() - self.agents.keys():
            await self._welcome(tenant)
        # From here to the next await, so that no checkpoint knows of half a run.
        shared = _Shared(delivery, len(parts))
        for tenant, examples in parts.items():
            self.agents[tenant].add(examples, shared)
        for tenant in self._known:
            self._given(tenant, {run.partition: run.last_offset + 1}, anew=True)
        if not parts:
            delivery.ack()
        for tenant in parts:
            await self.agents[tenant].work()

    async def tick(self) -> None:
        """Learn and publish what has waited long enough, and mark how far the others are."""
        for agent in list(self.agents.values()):
            await agent.tick()
        if self._clock.monotonic_s() - self._marked_s >= MARK_EVERY_S:
            await self.mark()

    async def forget(self, user_ids: Collection[str]) -> None:
        """Erase what is kept of users, by their whole ids."""
        of: dict[str, set[str]] = {}
        for user_id in user_ids:
            of.setdefault(tenant_of(user_id), set()).add(user_id)
        for tenant, users in of.items():
            if tenant in self.agents:
                await self.agents[tenant].forget(users)

    async def drain(self) -> None:
        """Before a stop or a rebalance: learn what waits, and make it durable."""
        for agent in list(self.agents.values()):
            await agent.drain()
        await self.mark()

    async def mark(self) -> None:
        """Write down how far the shops are whose checkpoints include all that they were given."""
        self._marked_s = self._clock.monotonic_s()
        if not self._several:
            return
        marks = dict(self._marks)
        for tenant, agent in self.agents.items():
            if agent.settled:
                consumed = dict(agent.start_offsets())
                marks[tenant] = Mark(checkpoint=agent.checkpoint, consumed=consumed)
        for tenant, consumed in self._without.items():
            marks[tenant] = Mark(checkpoint=0, consumed=dict(consumed))
        if marks != self._marks:
            self._marks = marks
            data = msgspec.json.encode(marks)
            await asyncio.to_thread(replace_file, self._folder / _FILE, data)

    async def _welcome(self, tenant: str) -> None:
        """Make a shop's learner."""
        async with self._lock:
            agent = await asyncio.to_thread(self._make, tenant)
            agent.restore()
        await asyncio.to_thread(agent.prepare)
        self.agents[tenant] = agent
        self._given(tenant, self._without.pop(tenant))
        log.info("the learner of tenant %r begins", tenant)

    def _needed(self, tenant: str) -> Mapping[int, int]:
        agent = self.agents.get(tenant)
        return self._without[tenant] if agent is None else agent.start_offsets()

    def _given(self, tenant: str, consumed: Mapping[int, int], *, anew: bool = False) -> None:
        """Take note how far a shop was given its examples; `anew` where reading has gone back."""
        agent = self.agents.get(tenant)
        if agent is not None:
            agent.given(consumed, anew=anew)
        else:
            self._without[tenant].update(consumed)

    def _leave_out(self, stranger: str, examples: int) -> None:
        LEARNER_EXAMPLES.labels(outcome="unknown", tenant="").inc(examples)
        if stranger not in self._strangers:
            self._strangers.add(stranger)
            log.warning("examples of %r are left out: `tenants.names` hasn't got it", stranger)


def _read(path: Path) -> dict[str, Mark]:
    """The marks; none where they can't be read: shops then read on from their checkpoints."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Mark])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s is passed over: %s", path, error)
        return {}
