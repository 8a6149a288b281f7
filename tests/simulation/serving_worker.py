"""A process of serving: the product's answerer; answers and offsets in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.store import OnlineStore
from serving.answer import Answerer, Taken
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import Bools, Floats, Rows
from serving.recommend import Recommender
from stream.batching import PlainRecord, Run
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Step
from stream.topics import Topics
from tests.simulation.broker import Broker, Group
from tests.simulation.loop import Point
from tests.simulation.member import Delivery, Member

CONFIG = ServingConfig(repeat_window_s=1e6)


class _Ranked(NamedTuple):
    rows_BK: Rows
    scores_BK: Floats


class TurningRanker:
    """A ranker whose list turns with every event of the user: a second answer is another one."""

    version = 1
    newest_ms = 0

    def __init__(self, items: int) -> None:
        self._items = items

    def rank_many(  # noqa: PLR0913, PLR0917 - the ranker's contract
        self,
        histories: Sequence[Sequence[Step]],
        now_ms: int,
        k: int,
        allowed: Bools | None,
        allowed_per_user: Sequence[Bools | None],
        *,
        seen: Sequence[bytes] = (),
    ) -> _Ranked:
        """Rank all items, from a place that depends on how much is known."""
        del now_ms, allowed, allowed_per_user, seen
        order = np.arange(self._items)
        rows = [(order + len(steps))[:k] % self._items for steps in histories]
        scores = np.linspace(1, 0, self._items)[:k]
        return _Ranked(
            np.array(rows, dtype=np.int32), np.tile(scores, (len(rows), 1)).astype(np.float32)
        )

    def evidence_many(self, past_BT: Rows, rows_BP: Rows) -> Floats:
        """Nothing speaks for anything."""
        return np.zeros((*rows_BP.shape, past_BT.shape[1]), np.float32)

    def taken(self, rows_N: Rows) -> NDArray[np.int64]:
        """Nothing was ever taken."""
        return np.zeros(len(rows_N), np.int64)


class ServingWorker(Member):
    """One of the group `serving`."""

    fenced = True
    """Whether the broker refuses the transaction of a process that the group has given up."""

    def __init__(  # noqa: PLR0913 - a process needs that much
        self,
        name: str,
        group: Group,
        broker: Broker,
        rng: Random,
        *,
        kafka: KafkaConfig,
        store: OnlineStore,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        super().__init__(name, group, broker, rng)
        self._topics = Topics(kafka.topic_prefix)
        recommender = Recommender(ItemIndex(catalog), TurningRanker(len(catalog)), CONFIG, clock)
        self._answerer = Answerer(store, recommender, CONFIG, self._topics, clock)

    def recover(self) -> None:
        """Read back what was answered of the partitions that came."""
        for record in self.broker.topic(self._topics.recommendations):
            plain = PlainRecord(record.key, record.value, record.offset, record.timestamp_ms)
            self._answerer.recent.keep_record(plain)

    def commit(self) -> None:
        """Offsets go with the answers."""

    async def handle(self, run: Run, delivery: Delivery) -> None:
        """Steps 3 to 5 of `serving.agent`."""
        records = [Taken(run.topic, run.partition, record) for record in run.records]
        work = self._answerer.take(records)
        while True:
            try:
                await Point("read rows")
                replies = self._answerer.answer(work)
                break
            except Unavailable:
                await Point("try again")
        tp, end = (run.topic, run.partition), run.last_offset + 1
        tried = False
        while True:
            try:
                await Point("transaction", may_fail="broker")
                if not (tried and (self.group.committed(tp) or 0) >= end):
                    tried = True
                    if self.fenced and not (delivery.current and self.in_group()):
                        return  # the group has moved on: whoever has the partition answers
                    for answer in replies.answers:
                        self.broker.append(self._topics.recommendations, answer)
                    for letter in work.refused:
                        self.broker.append(self._topics.dead_letters, letter)
                    self.group.commit(self.group.generation, {tp: end})
                await Point("transaction ended", may_fail="broker")
                break
            except Unavailable:
                await Point("try again")
        self._answerer.sent(replies)
