"""Faust's Kafka transport in micro-batches: an agent receives a `Run` where it had one message.

Faust spends several asyncio tasks on every message. Here the records that arrive on a partition of
an input topic while its agent is at work are gathered, and become one message whose value is a
`Run`: the busier an agent, the larger its runs. What one fetch brings of a changelog goes to the
table (`stream.changelogs`) in one piece, too.

What an acknowledged run means for the committed offset is decided by `stream.ledger` alone.
Faust's own arithmetic over acknowledged offsets and gaps isn't used:

1. a run is entered in its partition's ledger when it is cut, before anybody can drop it;
2. a seek opens new ledgers and a new epoch, and drops what was gathered; runs of an older epoch are
   never delivered;
3. a commit first waits until all table changes sent so far are on the broker, and fails if one
   is not;
4. the ledger moves its mark only after the broker confirmed the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.errors import IllegalStateError, NodeNotReadyError
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from stream.batching import Run
from stream.changes import Producer
from stream.errors import Unavailable
from stream.ledger import Ledger, Ticket

SCHEME = "runs"
"""The URL scheme that selects this transport: `runs://localhost:9092`."""

FETCH_WAIT_S = 0.5
"""How long one fetch waits for records; a seek waits for the fetch before it."""

IDLE_WAIT_S = 0.02
"""How long to look away while no partition wants records: the delay after a full buffer drains."""

GATHER_WAIT_S = 0.005
"""How long one fetch waits while gathered records wait for their agent: what they wait too long."""

TOPIC_TRIES = 15
"""How often a topic is declared at a start while the broker to ask isn't reached."""

TOPIC_PAUSE_S = 2.0

log = logging.getLogger(__name__)

StartOffsets = Callable[[Mapping[TP, int | None]], Awaitable[Mapping[TP, int]]]
"""Given the committed offset of each assigned partition: where to start instead, if earlier."""


class Cut(NamedTuple):
    """A run between the cut and its delivery."""

    run: Run
    ticket: Ticket
    epoch: int


class RunMessage(ConsumerMessage):
    """The message that carries a run through Faust."""

    ticket: Ticket
    epoch: int


class Consumer(driver.Consumer):
    """Delivers runs, and commits by the ledgers' rule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ledgers: dict[TP, Ledger] = {}
        self._epoch = 0
        self._fetching = asyncio.Lock()
        self._gathered: dict[TP, list[Any]] = {}
        self._in_hand: Counter[str] = Counter()
        self.newest_change: dict[TP, int] = {}
        super().__init__(*args, **kwargs)

    # Fetch and deliver -------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield runs for the agents that wait for one; changes go to the tables at once."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        full = self.app.stream_config.max_run_records
        wanted = {tp for tp in active if len(self._gathered.get(tp, ())) < full}
        if not wanted:
            await asyncio.sleep(IDLE_WAIT_S)
        else:
            changes = await self._getmany(wanted, GATHER_WAIT_S if self._gathered else timeout)
            for tp, records in changes.items():
                # After a seek they come again.
                if not self.flow_active:
                    return
                if tp in active:
                    messages = [self._to_message(tp, record) for record in records]
                    self.app.tables.recovery.take(tp, messages)
                await asyncio.sleep(0)
        idle = [tp for tp in self._gathered if not self._in_hand[tp.topic]]
        for tp in idle:
            # A seek may have come between two deliveries.
            if not self.flow_active or tp not in self._gathered:
                return
            yield tp, self._to_message(tp, self._cut(tp))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Gather the records of input topics; return those of changelogs."""
        async with self._fetching:
            fetched = await self._thread.getmany(active_partitions, timeout)
            changes = {}
            for tp, records in fetched.items():
                if self._is_changelog_tp(tp):
                    changes[tp] = records
                    if records:
                        self.newest_change[tp] = records[-1].offset
                elif records and tp in self._ledgers:
                    # Without a ledger: fetched before the first seek, which goes back to it.
                    self._gathered.setdefault(tp, []).extend(records)
            return changes

    async def hollow(self, tp: TP, have: int, end: int) -> bool:
        """Whether a changelog holds no record any more between `have` and its end.

        The position alone doesn't say it: it is past records as soon as they are fetched, long
        before they are in the table where the process is short of time.
        """
        async with self._fetching:  # Nothing is on its way from the consumer's thread.
            position = await self.position(driver.ensure_aiokafka_TP(tp))
            newest = self.newest_change.get(tp)
            return position is not None and position > end and (newest is None or newest <= have)

    def _cut(self, tp: TP) -> Cut:
        records = self._gathered.pop(tp)
        size = self.app.stream_config.max_run_records
        if len(records) > size:
            self._gathered[tp] = records[size:]
        run = Run(tp.topic, tp.partition, records[:size])
        self._in_hand[tp.topic] += 1
        return Cut(run, self._ledgers[tp].fetched(run.last_offset), self._epoch)

    def handled(self, message: Message) -> None:
        """Take note that an agent is through with a run, whatever came of it."""
        if isinstance(message, RunMessage) and message.epoch == self._epoch:
            self._in_hand[message.topic] -= 1

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Cut):
            return ConsumerMessage(
                tp.topic,
                tp.partition,
                record.offset,
                timestamp=record.timestamp / 1000,
                timestamp_type=record.timestamp_type,
                headers=record.headers,
                key=record.key,
                value=record.value,
                checksum=None,
                tp=tp,
                generation_id=self.app.consumer_generation_id,
            )
        last = record.run.records[-1]
        message = RunMessage(
            tp.topic,
            tp.partition,
            record.run.last_offset,
            timestamp=last.timestamp / 1000,
            timestamp_type=0,
            headers=None,
            key=None,
            value=record.run,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        message.ticket = record.ticket
        message.epoch = record.epoch
        return message

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=FETCH_WAIT_S):
                    if self.is_current(message):
                        await self.wait_first(self.callback(message), self.suspend_flow.wait())
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    def is_current(self, message: Message) -> bool:
        """Tell whether no seek has happened since the message was fetched.

        A run from before a seek comes again. Handling it late would put later records before
        earlier ones.
        """
        return not isinstance(message, RunMessage) or (
            message.epoch == self._epoch
            and message.generation_id == self.app.consumer_generation_id
        )

    @property
    def fetch_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread that talks to the broker."""
        loop: asyncio.AbstractEventLoop = self._thread.thread_loop
        return loop

    async def in_group(self) -> bool | None:
        """Ask whether our group counts us in, with the partitions that we have.

        `False` means that a rebalance will follow, `None` that nobody could be asked.
        """
        answer: bool | None = await self._thread.in_group()
        return answer

    async def perform_seek(self) -> None:
        """Go to where each input partition's work begins, with new ledgers."""
        async with self._fetching:
            self._epoch += 1
            self._ledgers.clear()
            self._gathered.clear()
            self._in_hand.clear()
            inputs = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
            changes = [tp for tp in self.assignment() if self._is_changelog_tp(tp)]
            ends = (
                await self.highwaters(*map(driver.ensure_aiokafka_TP, changes)) if changes else {}
            )
            self.app.producer.claim({TP(*tp): end for tp, end in ends.items()})
            if inputs:
                try:
                    await self._open_ledgers(inputs)
                except Exception as error:
                    self.app.fail(error)
                    raise

    async def _open_ledgers(self, inputs: list[TP]) -> None:
        committed = await self._thread.committed(inputs)
        starts = {tp: offset for tp, offset in committed.items() if offset is not None}
        hook: StartOffsets | None = self.app.start_offsets
        if hook is not None:
            for tp, wanted in (await hook(committed)).items():
                starts[tp] = min(wanted, starts.get(tp, wanted))
        fresh = [tp for tp in inputs if tp not in starts]
        if fresh:
            earliest = await self.earliest_offsets(*map(driver.ensure_aiokafka_TP, fresh))
            starts.update((TP(*tp), offset) for tp, offset in earliest.items())
        for tp in inputs:
            # Where the next rebalance has begun, the partition may be gone already. Then it is not
            # read here, and what comes to us by that rebalance has a seek of its own.
            with contextlib.suppress(IllegalStateError):
                self._thread.seek(driver.ensure_aiokafka_TP(tp), starts[tp])
                self._ledgers[tp] = Ledger(committed[tp])

    # Acknowledge and commit --------------------------------------------------------------------

    def ack(self, message: Message) -> bool:
        """Mark a run as finished; a second time, or after a seek, it changes nothing."""
        with ack_lock:
            if isinstance(message, RunMessage) and not message.ticket.done:
                message.acked = True
                message.ticket.done = True
                self._unacked_messages.discard(message)
                notify(self._waiting_for_ack)
                return True
            return False

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return (tp for tp in self._ledgers if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._ledgers[tp].committable()

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return True

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        ledgers = {tp: self._ledgers.get(tp) for tp in offsets}
        try:
            await self.app.producer.flush()
        except Unavailable as error:
            log.warning("not committed: %s", error)
            return False
        assignment = self.assignment()
        mine = {
            tp: offset
            for tp, offset in offsets.items()
            if tp in assignment and self._ledgers.get(tp) is ledgers[tp]
        }
        if not mine or not await self._commit(mine):
            return False
        for tp, offset in mine.items():
            ledger = ledgers[tp]
            if ledger is not None:
                ledger.committed(offset)
        self.app.tables.on_commit(mine)
        self.app.monitor.on_tp_commit(mine)
        return True

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class RecordsAsRead(fetcher.PartitionRecords):
    """What one fetch brought of a partition: the very records that aiokafka's C code makes.

    aiokafka makes each one anew, as a tuple of eleven fields that also says topic and partition,
    in Python. That is two thirds of what a fetch costs, and we know where a record comes from.
    """

    def __iter__(self) -> Iterator[Any]:
        records: Iterator[Any] = self._records_iterator
        return records

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer, with one more question to the broker."""

    async def on_start(self) -> None:
        """Start the consumer, whose records are handed on as they are read."""
        fetcher.PartitionRecords = RecordsAsRead
        await super().on_start()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if self.app.read_committed:  # Faust would only do so where it writes in transactions.
            consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer

    async def on_thread_stop(self) -> None:
        """Close the consumer, even where its fetcher is between two tries to reach the broker.

        aiokafka then raises its own cancellation, and Faust would wait a minute for the thread.
        """
        with contextlib.suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    async def in_group(self) -> bool | None:
        """Ask the group's coordinator whether we are a member of its present generation."""
        answer: bool | None = await self.call_thread(self._in_group)
        return answer

    async def _in_group(self) -> bool | None:
        # aiokafka has no public call for it: its own heartbeat forgets a generation that is over.
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        generation = coordinator.generation
        answered = await coordinator._do_heartbeat()  # noqa: SLF001
        if generation < 0 or coordinator.generation != generation:
            return False
        return True if answered else None

    async def committed(self, tps: list[TP]) -> dict[TP, int | None]:
        """Return what the broker holds as the group's offset of each partition."""
        return dict(await self.call_thread(self._committed, tps))

    async def _committed(self, tps: list[TP]) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        return {tp: await consumer.committed(driver.ensure_aiokafka_TP(tp)) for tp in tps}


class Transport(driver.Transport):
    """What `runs://` stands for."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer

    async def _create_topic(self, *arguments: Any, **named: Any) -> None:
        """Make a topic; the broker that is asked may be away at a start, and another be chosen."""
        for left in reversed(range(TOPIC_TRIES)):
            try:
                await super()._create_topic(*arguments, **named)
            except NodeNotReadyError:
                if not left:
                    raise
                await asyncio.sleep(TOPIC_PAUSE_S)
            else:
                return


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
