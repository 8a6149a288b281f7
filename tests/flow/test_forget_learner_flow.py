"""The learner forgets: nothing of who leaves is in memory or in a checkpoint, weights go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from learner.examples_agent import ExamplesAgent
from learner.online import OnlineLearner
from learner.shops_agent import ShopsAgent
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Example, msgpack_encode
from stream.forget import Forgotten
from tests.flow.test_learner_flow import (
    CONFIG,
    TOPICS,
    Receipt,
    Wire,
    catalogue,
    example,
    of_one_shop,
)

ADA, BOB = "user-who-leaves-ada", "user-who-stays-bob"


def of(user_id: str, n: int, item_id: str) -> Example:
    return msgspec.structs.replace(example(n), user_id=user_id, item_id=item_id, partition=0)


def given(*examples: Example) -> Run:
    records = [PlainRecord(b"", msgpack_encode(e), e.offset) for e in examples]
    return Run(TOPICS.examples, 0, records)


def bytes_of(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def process(tmp_path: Path) -> ShopsAgent:
    wire, forgotten = Wire(), Forgotten()
    agent = ExamplesAgent(
        kafka=KafkaConfig(),
        learner=OnlineLearner(catalogue(), CONFIG),
        publisher=wire,
        folder=tmp_path,
        clock=ManualClock(),
        forgotten=forgotten,
    )
    agent.restore()
    return of_one_shop(agent, wire, tmp_path)


def test_nothing_of_who_leaves_is_kept(process: ShopsAgent, tmp_path: Path) -> None:
    async def play() -> None:
        # Items that nobody sells wait with their users' ids, and a checkpoint keeps them.
        await process.take(given(of(ADA, 21, "?"), of(BOB, 22, "?")), Receipt())
        await process.take(given(*(of(ADA, n, f"i{n % 20}") for n in range(23, 33))), Receipt())
        await process.agents[""].publish()
        assert any(ADA.encode() in data for data in bytes_of(tmp_path))
        await process.take(given(of(ADA, 33, "i1")), Receipt())
        await process.forget({ADA})

    asyncio.run(play())
    assert not any(ADA.encode() in data for data in bytes_of(tmp_path))
    assert any(BOB.encode() in data for data in bytes_of(tmp_path))


def test_what_was_on_its_way_is_not_learnt_and_is_acknowledged(process: ShopsAgent) -> None:
    receipt = Receipt()

    async def play() -> int:
        process.agents[""]._forgotten.add(ADA, 25_000, partition=0, offset=0)  # noqa: SLF001
        await process.take(given(*(of(ADA, n, f"i{n % 20}") for n in range(21, 26))), receipt)
        await process.take(given(of(ADA, 26, "i6"), of(BOB, 27, "i7")), receipt)
        await process.agents[""].publish()
        return process.agents[""]._learner.learnt  # noqa: SLF001

    assert asyncio.run(play()) == 2
    assert receipt.acked
