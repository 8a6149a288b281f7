"""Outcomes through the calibration's agent: learnt once, whatever is killed when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from learner.calibration_agent import PUBLISH_S, CalibrationAgent
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Calibrated, Outcome, decode_calibrated, json_encode
from stream.metrics import REGISTRY
from stream.outgoing import Outgoing


class Receipt:
    """Whether a run was acknowledged."""

    acked = False

    def ack(self) -> bool:
        self.acked = True
        return True


@dataclass
class Wire:
    """The broker; its n-th publishing can be made to fail."""

    records: list[Outgoing] = field(default_factory=list)
    fails_at: int = 0

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        assert topic == "tidemill.calibrations"
        self.fails_at -= 1
        if self.fails_at == 0:
            message = "away"
            raise Unavailable(message)
        self.records += records

    def states(self) -> dict[str, Calibrated]:
        said = [decode_calibrated(record.value or b"") for record in self.records]
        return {one.tenant or "": one for one in said}


def agent(wire: Wire, clock: ManualClock | None = None) -> CalibrationAgent:
    """A process begins: it hears what was learnt before."""
    clock = ManualClock(0) if clock is None else clock
    made = CalibrationAgent(kafka=KafkaConfig(), publisher=wire, clock=clock)
    for n, record in enumerate(wire.records):
        made.hear(PlainRecord(record.key, record.value, n))
    return made


def run_of(start: int, count: int, tenant: str = "") -> Run:
    """Outcomes of which every fifth is a click, at once; the others are passed over."""
    records = []
    for n in range(start, start + count):
        told = Outcome(
            recommendation_id=f"r-{n}",
            user_id="ann",
            item_id="pot",
            place=1 + n % 10,
            places=10,
            surface="home",
            score=float(n % 7),
            shown_ms=n,
            clicked_ms=n + 1 if n % 5 == 0 else None,
            final=n % 5 > 0,
            **({"tenant": tenant} if tenant else {}),  # type: ignore[arg-type]
        )
        records.append(PlainRecord(b"ann", json_encode(told), n))
    return Run("tidemill.outcomes", 0, records)


def test_nothing_is_acknowledged_before_it_is_published() -> None:
    async def story() -> None:
        wire, receipts = Wire(fails_at=1), [Receipt(), Receipt()]
        first = agent(wire)
        for receipt, start in zip(receipts, (0, 100), strict=True):
            await first.take(run_of(start, 100), receipt)
        with pytest.raises(Unavailable):
            await first.publish()
        assert not any(receipt.acked for receipt in receipts)
        await first.publish()
        assert all(receipt.acked for receipt in receipts)
        # One click, the newest, waits for what is shown as late as it.
        said = wire.states()[""]
        assert said.offsets == {"0": 200}
        assert said.shown + len(said.waiting) == 200

    asyncio.run(story())


def test_the_last_run_of_a_quiet_shop_is_published_and_acknowledged_as_well() -> None:
    async def story() -> None:
        wire, clock, receipts = Wire(), ManualClock(0), [Receipt(), Receipt()]
        ours = agent(wire, clock)
        await ours.take(run_of(0, 100), receipts[0])
        await ours.tick()
        assert not receipts[0].acked
        clock.advance(PUBLISH_S)
        await ours.tick()
        assert receipts[0].acked
        await ours.tick()
        assert len(wire.records) == 1  # nothing is said without news
        await ours.take(run_of(100, 100), receipts[1])
        await ours.drain()
        assert receipts[1].acked and wire.states()[""].offsets == {"0": 200}

    asyncio.run(story())


def test_what_is_learnt_during_a_publishing_waits_for_the_next_one() -> None:
    class Slow(Wire):
        async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
            if topic.endswith("calibrations") and not self.records:
                await ours.take(run_of(100, 100), late)
            await super().publish(topic, records)

    wire, early, late = Slow(), Receipt(), Receipt()
    ours = agent(wire)

    async def story() -> None:
        await ours.take(run_of(0, 100), early)
        await ours.publish()
        assert (early.acked, late.acked) == (True, False)
        assert wire.states()[""].offsets == {"0": 100}
        await ours.publish()
        assert late.acked

    asyncio.run(story())


def test_what_is_delivered_again_is_not_learnt_again() -> None:
    async def story() -> None:
        wire = Wire()
        first = agent(wire)
        await first.take(run_of(0, 150), Receipt())
        await first.publish()
        second = agent(wire)  # killed before its offsets were committed
        await second.take(run_of(0, 100), Receipt())
        await second.take(run_of(100, 100), Receipt())
        await second.publish()
        whole = Wire()
        once = agent(whole)
        await once.take(run_of(0, 150), Receipt())
        await once.take(run_of(150, 50), Receipt())
        await once.publish()
        assert wire.states()[""] == whole.states()[""]

    asyncio.run(story())


def test_shops_learn_apart() -> None:
    async def story() -> None:
        wire = Wire()
        ours = agent(wire)
        await ours.take(run_of(0, 50), Receipt())
        await ours.take(run_of(50, 25, "acme"), Receipt())
        await ours.publish()
        states = wire.states()
        assert set(states) == {"", "acme"}
        assert states["acme"].shown + len(states["acme"].waiting) == 25
        assert wire.records[-1].key == b"acme"
        for tenant in ("", "acme"):
            labels = {"surface": "home", "tenant": tenant}
            assert REGISTRY.get_sample_value("tidemill_calibration_error_ratio", labels) is not None

    asyncio.run(story())


def test_a_state_that_cant_be_read_is_begun_anew() -> None:
    made = agent(Wire())
    made.hear(PlainRecord(b"", b"?", 0))
    made.hear(PlainRecord(b"", None, 1))
    asyncio.run(made.publish())


def test_who_doesnt_learn_holds_nothing_up() -> None:
    async def story() -> None:
        wire, receipt = Wire(), Receipt()
        other = agent(wire)
        other.begin([], learns=False)
        await other.take(run_of(0, 10), receipt)
        assert receipt.acked
        await other.publish()
        assert not wire.records

    asyncio.run(story())


def test_what_is_no_outcome_is_refused_alone() -> None:
    class Letters(Wire):
        letters = 0

        async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
            if topic == "tidemill.dead-letters":
                self.letters += len(records)
            else:
                await super().publish(topic, records)

    async def story() -> None:
        wire = Letters()
        ours, run = agent(wire), run_of(0, 10)
        broken = PlainRecord(b"ann", b"?", 10)
        await ours.take(run._replace(records=[*run.records, broken]), Receipt())
        await ours.publish()
        assert wire.letters == 1
        assert wire.states()[""].offsets == {"0": 10}

    asyncio.run(story())
