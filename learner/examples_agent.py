"""The agent of the learner: `examples` in, model versions on `adapters` out.

When an offset of `examples` counts as done: when a checkpoint that includes it is on the disk and
the version made of it is announced, if the gate lets one be made.

1. Runs wait until they make a micro-batch, or for `max_wait_s`.
2. The micro-batch is ranked, then learnt; its reviews are read, then learnt, and what they say is
   published on `readings`.
3. Every `publish_every_s` or `publish_every` examples the gate decides, and a checkpoint is
   written (atomic), once the readings of all that it includes are acked: the learner, the reader,
   what the gate knows, and which versions are live and good.
4. As decided: the version that serving needs is written (atomic) and announced on `adapters`; or
   the live version is announced as rolled back, and the good one as live again; or nothing is.
5. All runs that the checkpoint includes are acknowledged, also where no version was made.

A crash before 3 forgets what was learnt since the last checkpoint, whose offsets say where to read
on. A crash between 3 and 5 delivers examples again that the checkpoint includes: they are left out.
A restart announces the live version again, and a rollback that the checkpoint includes: to hear of
them twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from learner.cleaning import REASONS
from learner.forget import forget_users, only_newest
from learner.held import held_bytes
from learner.online import LearnReport, OnlineLearner
from learner.reading import ReadsReviews, read_reviews
from learner.referee import for_serving
from learner.snapshot import Saved, Snapshots
from learner.state import READER, load_learner, part, save_learner, under
from learner.versions_agent import VersionsAgent
from stream.batching import Record
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import Example, decode_example
from stream.forget import Forgotten
from stream.metrics import (
    ADAPTER_VERSION,
    ADAPTERS_PUBLISHED,
    CHECKPOINT_SECONDS,
    DRIFT_SIGNALS,
    EVENT_AGE_SECONDS,
    LEARNER_BYTES,
    LEARNER_EXAMPLES,
    LEARNER_LOSS,
    LEARNER_NOISE,
    LEARNER_RATE,
    LEARNER_RESIDUALS,
    LEARNER_UPDATES,
    PREQUENTIAL_NDCG10,
    RUN_RECORDS,
    RUN_SECONDS,
)
from stream.outgoing import Outgoing, Publishes
from stream.parse_time import LATEST_MS
from stream.tenants import told
from stream.topics import Topics
from stream.variants import everybody

ROLE = "learner"

FIRST_VERSION = 64
"""Examples after which the first version is published: it brings popularity to serving."""

TIMES = "within 3,168 years of 1970"
MAX_RATING = 5

AGES_PER_BATCH = 32
"""Examples of a micro-batch whose age is measured, evenly spread."""

log = logging.getLogger(__name__)


def read_example(record: Record) -> Example:
    """Read an example; one that the profile can't have written would spoil what is learnt.

    Raises
    ------
    Exception
        Of any kind, where it can't be read.
    """
    example = decode_example(record.value or b"")
    facts = [(step.ts_ms, step.rating) for step in example.history]
    for ts_ms, rating in ((example.ts_ms, example.rating), *facts):
        if not -LATEST_MS <= ts_ms <= LATEST_MS:
            raise BadRecord(field="ts_ms", value=ts_ms, wanted=TIMES, reason="out_of_range")
        if rating is not None and not 1 <= rating <= MAX_RATING:  # nor is one that is no number
            wanted = f"from 1 to {MAX_RATING}"
            raise BadRecord(field="rating", value=rating, wanted=wanted, reason="out_of_range")
    return example


class Acks(Protocol):
    """What a run comes with: `ack` says that it is learnt for good."""

    def ack(self) -> object:
        """Count its offset as done."""


class ExamplesAgent:
    """The agent's function and its clockwork, free of Faust.

    Parameters
    ----------
    learner
        A fresh learner; `restore` brings it to its newest checkpoint.
    folder
        Where `checkpoints` and `versions` are kept.
    reader
        What reads reviews; without one, they count by their stars.
    tenant
        Whose learner it is.
    lock
        Held while it learns: the catalogue stands still, and other shops' learners wait.
    teaches
        Whose events the model learns from; reviews are read whoever wrote them.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        learner: OnlineLearner,
        publisher: Publishes,
        folder: Path,
        clock: Clock,
        forgotten: Forgotten | None = None,
        reader: ReadsReviews | None = None,
        tenant: str = "",
        lock: asyncio.Lock | None = None,
        teaches: Callable[[str], bool] = everybody,
    ) -> None:
        self._tenant = tenant
        self._teaches = teaches
        self._reader = reader
        self._forgotten = Forgotten() if forgotten is None else forgotten
        self._topics = Topics(kafka.topic_prefix)
        self._learner = learner
        self._config = learner.config
        self._publisher = publisher
        self._checkpoints = Snapshots(folder / "checkpoints", self._config.keep)
        self._versions = VersionsAgent(
            kafka=kafka,
            learner=learner,
            publisher=publisher,
            folder=folder / "versions",
            clock=clock,
            tenant=tenant,
        )
        self._clock = clock
        self._waiting: list[Example] = []
        self._held: list[Acks] = []
        self._unsaid: list[Outgoing] = []
        self._saying = asyncio.Lock()
        self._consumed: dict[int, int] = {}
        self._saved = self._checkpoints.newest()
        if self._saved is not None:
            consumed = self._saved.meta["consumed"]
            self._consumed = {int(partition): offset for partition, offset in consumed.items()}
        self.checkpoint = 0
        """The number of the newest whole checkpoint; 0 is none."""
        if self._saved is not None:
            self.checkpoint = self._saved.meta.get("checkpoint", 0)
        numbers = [*self._checkpoints.numbers(), *self._versions.numbers()]
        self._version = max(numbers, default=0)
        self._published_learnt = 0
        self._waiting_since_s = 0.0
        self._published_s = clock.monotonic_s()
        self._publishing = asyncio.Lock()
        self.lock = lock or asyncio.Lock()

    def restore(self) -> None:
        """Go on from the newest whole checkpoint, once the catalogue is loaded."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        load_learner(self._learner, saved)
        self._restore_reader(saved)
        self._versions.resume(saved.meta)
        log.info("goes on from a checkpoint: %d examples learnt", self._learner.learnt)

    def prepare(self) -> None:
        """Load what the first review would have to wait for."""
        if self._reader is not None:
            self._reader.prepare()

    def _restore_reader(self, saved: Saved) -> None:
        """What was learnt of reviews, unless nobody read them then, or by other settings."""
        arrays = part(READER, saved.arrays)
        if self._reader is None or not arrays:
            return
        now = msgspec.json.decode(msgspec.json.encode(self._config))
        if any(saved.meta["config"].get(name) != now[name] for name in ("reviews", "encoder")):
            log.warning("the reader of reviews begins anew: its settings have changed")
            return
        self._reader.load(arrays)

    def start_offsets(self) -> Mapping[int, int]:
        """Where to read `examples` on, by partition: after the last one that is learnt for sure."""
        return dict(self._consumed)

    @property
    def settled(self) -> bool:
        """Whether a checkpoint includes all that was given."""
        return not (self._waiting or self._held or self._publishing.locked())

    def add(self, found: Sequence[Example], delivery: Acks) -> None:
        """Step 1: add examples to the micro-batch in the making.

        They count as learnt once their delivery is acknowledged.
        """
        if not self._waiting:
            self._waiting_since_s = self._clock.monotonic_s()
        for example in found:
            if self._forgotten.covers(example.user_id, example.received_ms):
                LEARNER_EXAMPLES.labels(outcome="forgotten", tenant=self._tenant).inc()
            else:
                self._waiting.append(example)
        self._held.append(delivery)

    def given(self, consumed: Mapping[int, int], *, anew: bool) -> None:
        """Take note how far this learner was given all that concerns it, by partition.

        It never goes back, unless `anew`: then reading has gone back.
        """
        for partition, offset in consumed.items():
            known = 0 if anew else self._consumed.get(partition, 0)
            self._consumed[partition] = max(offset, known)

    async def work(self) -> None:
        """Learn a micro-batch that is full; publish if it is time."""
        if len(self._waiting) >= self._config.train.batch:
            await self.learn()
            await self.publish_if_due()

    async def tick(self) -> None:
        """Learn a micro-batch that waited long enough; publish if it is time."""
        waited_s = self._clock.monotonic_s() - self._waiting_since_s
        if self._waiting and waited_s >= self._config.max_wait_s:
            await self.learn()
        if self._versions.unsaid and not self._publishing.locked():
            async with self._publishing:
                await self._versions.say()
        await self.publish_if_due()

    async def learn(self) -> None:
        """Step 2, in a worker thread; the catalogue stands still meanwhile."""
        async with self.lock:
            examples, self._waiting = self._waiting, []
            await self._learn(examples)
        await self._say_readings()

    async def _learn(self, examples: list[Example]) -> None:
        if examples:
            started_s = self._clock.monotonic_s()
            await self._read(examples)
            own = [example for example in examples if self._teaches(example.user_id)]
            report = await asyncio.to_thread(self._learner.learn_many, own)
            self._learner.pass_over(examples)
            await asyncio.to_thread(self._versions.judge, own, report)
            others = len(examples) - len(own)
            LEARNER_EXAMPLES.labels(outcome="other_variant", tenant=self._tenant).inc(others)
            self._count(examples, report, self._clock.monotonic_s() - started_s)

    async def _read(self, examples: list[Example]) -> None:
        if self._reader is None:
            return
        learnt = dict(self._learner.offsets)
        self._unsaid += [
            Outgoing(one.user_id.encode(), told(one, one.user_id), partition=one.partition)
            for one in await asyncio.to_thread(read_reviews, self._reader, examples, learnt)
        ]

    async def _say_readings(self) -> None:
        async with self._saying:
            readings = list(self._unsaid)
            await self._publisher.publish(self._topics.readings, readings)
            del self._unsaid[: len(readings)]

    async def publish_if_due(self) -> None:
        """Steps 3 to 5, if enough was learnt or enough time has passed."""
        fresh = self._learner.learnt - self._published_learnt
        since_s = self._clock.monotonic_s() - self._published_s
        due = since_s >= self._config.publish_every_s or fresh >= self._config.publish_every
        first = self._published_learnt == 0 and fresh >= FIRST_VERSION
        if ((due and self._held) or first) and not self._publishing.locked():
            await self.publish()

    async def publish(self) -> None:
        """Steps 3 to 5: everything learnt so far becomes durable, announced, acknowledged."""
        async with self._publishing:  # one version after the other
            await self._publish()

    async def _publish(self) -> None:
        async with self.lock:
            # Taken together, so that what is acknowledged is exactly what has been learnt.
            examples, self._waiting = self._waiting, []
            held, self._held = self._held, []
            consumed = {str(partition): offset for partition, offset in self._consumed.items()}
            await self._learn(examples)
            decision = await asyncio.to_thread(self._versions.decide)
            saved = await asyncio.to_thread(save_learner, self._learner)
            if self._reader is not None:
                reader = await asyncio.to_thread(self._reader.state)
                saved.arrays.update(under(READER, reader))
            self._version += 1
            number = self._version
            made = decision in ("published", "prior")
            version = for_serving(saved, decision)
            saved.meta.update(
                consumed=consumed,
                checkpoint=number,
                **self._versions.meta(number if made else None),
            )
        try:
            await self._say_readings()
        except Unavailable:
            self._held[:0] = held
            raise
        started_s = self._clock.monotonic_s()
        # 3. From here on a restart goes on from this point.
        await asyncio.to_thread(self._checkpoints.write, number, saved)
        self.checkpoint = number
        CHECKPOINT_SECONDS.observe(self._clock.monotonic_s() - started_s)
        # 4. Serving may use it.
        if made:
            await self._versions.make_live(number, version, decision, self.lock)
        await self._versions.say()
        ADAPTERS_PUBLISHED.labels(decision=decision).inc()
        ADAPTER_VERSION.labels(tenant=self._tenant).set(self._versions.live or 0)
        # 5.
        for delivery in held:
            delivery.ack()
        self._published_learnt = saved.meta["learnt"]
        self._published_s = self._clock.monotonic_s()

    async def forget(self, user_ids: Collection[str]) -> None:
        """Erase what is kept of users: nothing of it is in memory or in a checkpoint afterwards."""
        async with self.lock:
            self._waiting = [e for e in self._waiting if e.user_id not in user_ids]
            forget_users(self._learner, user_ids)
            if self._reader is not None:
                for user_id in user_ids:
                    self._reader.forget(user_id)
        await self.publish()
        await asyncio.to_thread(only_newest, self._checkpoints)

    async def drain(self) -> None:
        """Before a stop or a rebalance: learn what waits, and make it durable."""
        if self._held:
            await self.publish()

    def _count(self, examples: list[Example], report: LearnReport, seconds: float) -> None:
        RUN_RECORDS.labels(stage=ROLE).observe(len(examples))
        RUN_SECONDS.labels(stage=ROLE).observe(seconds)
        for outcome in ("learnt", "repeated", "unknown", "late"):
            count = getattr(report, outcome)
            LEARNER_EXAMPLES.labels(outcome=outcome, tenant=self._tenant).inc(count)
        LEARNER_UPDATES.inc(report.steps)
        LEARNER_LOSS.set(report.loss)
        LEARNER_RATE.set(report.factor)
        LEARNER_RESIDUALS.set(self._learner.ranker.residuals.admitted_I.sum())
        for table, held in held_bytes(self._learner).items():
            LEARNER_BYTES.labels(table=table).set(held)
        for name, value in report.recent.items():
            if name != "hr10":
                PREQUENTIAL_NDCG10.labels(model=name, tenant=self._tenant).set(value)
        for reason, count in zip(REASONS, self._learner.noise.tolist(), strict=True):
            LEARNER_NOISE.labels(reason=reason).set(count)
        for name in report.signals:
            DRIFT_SIGNALS.labels(detector=name).inc()
        now_ms = self._clock.now_ms()
        age_s = EVENT_AGE_SECONDS.labels(stage="learnt")
        for example in examples[:: max(1, len(examples) // AGES_PER_BATCH)]:
            age_s.observe(max(0, now_ms - example.received_ms) / 1000)
