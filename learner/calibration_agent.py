"""The agent of the calibration: `outcomes` in, what scores are worth on `calibrations` out.

When an offset counts as done: after a record on `calibrations` holds what it taught.

1. A run's outcomes are predicted, then learnt, each surface together; what was learnt before is
   known by its offset and left out.
2. Every `PUBLISH_S` seconds each shop's state is published, with the offsets that it includes;
   also where no run comes after it, and before a stop or a rebalance.
3. The runs that it includes are acknowledged.

A crash before 3 repeats runs whose outcomes the state may hold already: they are left out.

One process learns: the one that owns the first partition of `outcomes`. With several learner
processes the others' partitions go unlearnt, a share of the data, not of the truth. Whenever
partitions move, what is on `calibrations` counts: what came after it comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import UNSET
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from learner.calibration import Calibration
from learner.calibration_labels import Labels, Shown
from stream.app import Delivery, StreamApp, guarded, run_topic
from stream.batching import Record, Run
from stream.broadcast import BroadcastReader
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Calibrated, Outcome, decode_calibrated, decode_outcome, msgpack_encode
from stream.metrics import CALIBRATION_ERROR, CALIBRATION_RATIO
from stream.outgoing import Outgoing, Publishes
from stream.parse_faults import decode_own
from stream.refusals import Refusals
from stream.topics import Topics

ROLE = "calibration"

PUBLISH_S = 10.0
"""Between two records on `calibrations`: what a crash repeats, how old serving's weights get."""

TICK_S = 1.0
"""Between two looks whether it is time to publish."""

BATCH = 500
"""Shown items that are predicted before any of them is learnt."""

LOAD_TIMEOUT_S = 30.0

log = logging.getLogger(__name__)


class Receipt(Protocol):
    """What the agent needs of `stream.guard.Delivery`."""

    def ack(self) -> bool:
        """Count the run as done."""


class _Shop:
    """What is learnt of one shop."""

    def __init__(self, said: Calibrated | None = None) -> None:
        self.calibration = Calibration()
        self.labels = Labels(said.waiting if said else ())
        self.offsets: dict[str, int] = dict(said.offsets) if said else {}
        if said is not None:
            self.calibration = Calibration.of_state(load_arrays(said.arrays))

    def learn(self, outcomes: list[Outcome]) -> None:
        """Predict, then learn."""
        by_surface: dict[str, list[Shown]] = {}
        for shown in self.labels.take(outcomes):
            by_surface.setdefault(shown.surface, []).append(shown)
        for surface, every in by_surface.items():
            score_N = np.array([one.score for one in every])
            place_N = np.array([one.place for one in every])
            click_N = np.array([one.clicked for one in every])
            for start in range(0, len(every), BATCH):
                part = slice(start, start + BATCH)
                self.calibration.learn(surface, score_N[part], place_N[part], click_N[part])


class CalibrationAgent:
    """The agent's functions, free of Faust: `hear` at the start, then `take` for each run."""

    learns = True
    """Whether this process is the one that learns."""

    def __init__(self, *, kafka: KafkaConfig, publisher: Publishes, clock: Clock) -> None:
        self._refusals = Refusals(ROLE, kafka, publisher, clock)
        self._topics = Topics(kafka.topic_prefix)
        self._publisher = publisher
        self._clock = clock
        self._shops: dict[str, _Shop] = {}
        self._held: list[Receipt] = []
        self._publishing = asyncio.Lock()
        self._published_s = clock.monotonic_s()

    def begin(self, records: Sequence[Record], *, learns: bool) -> None:
        """Go on from what is on `calibrations`, oldest first."""
        self.learns = learns
        self._held = []
        for record in records:
            self.hear(record)

    def hear(self, record: Record) -> None:
        """Take what was learnt before this process: a record of `calibrations`."""
        try:
            said = decode_own(record.value, decode_calibrated, "a calibration", "the learner")
            self._shops[said.tenant or ""] = _Shop(said)
        except Exception as error:
            log.warning("calibrations@%d can't be read, begun anew: %s", record.offset, error)

    async def take(self, run: Run, receipt: Receipt) -> None:
        """Learn a run; it is acknowledged with what is published next."""
        if not self.learns:
            receipt.ack()
            return
        told, refused = self._refusals.read(run, _read)
        for tenant, (outcomes, end) in self._by_shop(run.partition, told).items():
            shop = self._shops.setdefault(tenant, _Shop())
            shop.learn(outcomes)
            shop.offsets[str(run.partition)] = end
        await self._refusals.publish(refused)
        self._held.append(receipt)
        await self.tick()

    async def tick(self) -> None:
        """Publish, if something waits for it and it is time."""
        if self._held and self._clock.monotonic_s() - self._published_s >= PUBLISH_S:
            await self.publish()

    async def drain(self) -> None:
        """Before a stop or a rebalance: publish what waits for it, or learn it again later."""
        if not self._held:
            return
        try:
            await self.publish()
        except Unavailable as error:
            log.warning("what scores are worth isn't published now: %s", error)

    async def publish(self) -> None:
        """Say what is learnt, then acknowledge what it was learnt from."""
        async with self._publishing:
            # Taken together: what is learnt meanwhile is not in these records.
            held, self._held = self._held, []
            records = [
                Outgoing(tenant.encode(), msgpack_encode(self._said(tenant, shop)))
                for tenant, shop in self._shops.items()
            ]
            try:
                await self._publisher.publish(self._topics.calibrations, records)
            except Unavailable:
                self._held[:0] = held
                raise
            for receipt in held:
                receipt.ack()
            self._published_s = self._clock.monotonic_s()
        for tenant, shop in self._shops.items():
            for surface, head in shop.calibration.heads.items():
                CALIBRATION_ERROR.labels(surface=surface, tenant=tenant).set(head.error)
                CALIBRATION_RATIO.labels(surface=surface, tenant=tenant).set(head.ratio)

    def _by_shop(
        self, partition: int, told: Iterable[tuple[int, Outcome]]
    ) -> Mapping[str, tuple[list[Outcome], int]]:
        """Each shop's outcomes that it hasn't learnt yet, and the offset behind them."""
        found: dict[str, tuple[list[Outcome], int]] = {}
        for offset, outcome in told:
            tenant = outcome.tenant or ""
            known = self._shops.get(tenant)
            if known is not None and offset < known.offsets.get(str(partition), 0):
                continue
            outcomes, _ = found.setdefault(tenant, ([], 0))
            outcomes.append(outcome)
            found[tenant] = (outcomes, offset + 1)
        return found

    def _said(self, tenant: str, shop: _Shop) -> Calibrated:
        heads = shop.calibration.heads
        return Calibrated(
            tenant=tenant or UNSET,
            arrays=save_arrays(shop.calibration.state()),
            offsets=shop.offsets,
            shown=shop.calibration.all.shown,
            created_ms=self._clock.now_ms(),
            errors={surface: head.error for surface, head in heads.items()},
            waiting=shop.labels.waiting,
        )


def _read(record: Record) -> tuple[int, Outcome]:
    return record.offset, decode_own(record.value, decode_outcome, "an outcome", "the profile")


def add_calibration(
    app: StreamApp, *, kafka: KafkaConfig, publisher: Publishes, clock: Clock
) -> None:
    """Put the calibration on an app whose own offsets are set already."""
    topics = Topics(kafka.topic_prefix)
    agent = CalibrationAgent(kafka=kafka, publisher=publisher, clock=clock)
    reader = BroadcastReader(kafka, topics.calibrations)
    others = app.start_offsets

    async def calibration(run: Run, delivery: Delivery) -> None:
        await agent.take(run, delivery)

    async def start_offsets(committed: Mapping[Any, int | None]) -> Mapping[Any, int]:
        first = any((tp.topic, tp.partition) == (topics.outcomes, 0) for tp in committed)
        records: list[Record] = []
        if first:
            await asyncio.to_thread(reader.load, records.append, LOAD_TIMEOUT_S)
        agent.begin(records, learns=first)
        return {} if others is None else await others(committed)

    drain_others = app.on_drain

    async def drain() -> None:
        if drain_others is not None:
            await drain_others()
        await agent.drain()

    async def publish_calibration(_: Any = None) -> None:
        while not app.stopping.is_set():
            try:
                await agent.tick()
            except Unavailable as error:
                log.warning("what scores are worth isn't published now: %s", error)
            except Exception as error:
                app.fail(error)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await app.stopping.wait()

    app.on_drain = drain
    app.task(publish_calibration)
    app.start_offsets = start_offsets
    app.agent(run_topic(app, topics.outcomes), name=ROLE)(guarded(app)(calibration))
