"""The Faust app of a role: how it is made, how its agents are written, how it runs and stops.

An agent is an async function over one `Run`:

```
@app.agent(run_topic(app, topics.clicks))
@guarded(app)
async def ingest(run: Run) -> None:
    ...
```

When the function returns, the run's offsets count as done. A function with a second parameter is
given a `Delivery` and calls `delivery.ack()` itself, in any order and as late as it wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import faust
import msgspec
from faust.tables.manager import TableManager
from msgspec import Meta

from stream import transport
from stream.access import refusal
from stream.changelogs import CheckedRecovery
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.guard import Delivery, guarded
from stream.login import faust_settings
from stream.metrics import ROLE_READY
from stream.tables import NewestTable, Older
from stream.topics import COMPACTION_LAG_MS
from stream.worker import run_app

__all__ = [
    "Delivery",
    "StreamApp",
    "StreamConfig",
    "bytes_table",
    "guarded",
    "make_app",
    "run_app",
    "run_topic",
]

log = logging.getLogger(__name__)

STORE_OPTIONS = {
    "write_buffer_size": 16 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 << 20,
    "block_cache_size": 32 << 20,
    "max_open_files": 256,
}
"""RocksDB per table and partition: under 100 MB. Faust's own defaults allow over 2 GB."""


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a role reads its topics and keeps its tables."""

    max_run_records: Annotated[
        int,
        Meta(
            ge=1,
            description="records of one run, gathered while the agent was at work before; more is "
            "faster under load, fewer is less for a crash to repeat",
        ),
    ] = 4_000
    commit_interval_s: Annotated[
        float, Meta(gt=0, description="between commits: the work that a crash repeats")
    ] = 1.0
    drain_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for runs in flight at a stop or rebalance")
    ] = 20.0
    stop_timeout_s: Annotated[
        float, Meta(gt=0, description="after this long a stop is forced, and counts as a crash")
    ] = 40.0
    retry_s: Annotated[
        float, Meta(gt=0, description="pause after a store or broker was away, doubled each time")
    ] = 0.2
    retry_max_s: Annotated[float, Meta(gt=0, description="the longest pause")] = 10.0
    stuck_after_s: Annotated[
        float, Meta(gt=0, description="lag without progress for this long restarts the role")
    ] = 30.0
    recovery_timeout_s: Annotated[
        float, Meta(gt=0, description="a table that makes no progress for this long stops the role")
    ] = 60.0
    instance: Annotated[
        str,
        Meta(
            description="this worker's lasting name in its group: one that is started again after "
            "a crash takes its partitions back at once. Must differ between workers of one role; "
            "empty: the broker names it, and waits for session_timeout_s"
        ),
    ] = ""
    session_timeout_s: Annotated[
        float, Meta(gt=0, description="a silent worker's partitions move after this long")
    ] = 15.0
    request_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for one answer of the broker")
    ] = 30.0


class _QuickTables(TableManager):
    """Faust waits a second for tables that are still being declared; ours are there.

    Their recovery looks first whether the changelogs are what they were.
    """

    _recovery: CheckedRecovery | None = None

    @property
    def recovery(self) -> CheckedRecovery:
        """The recovery of all tables."""
        if self._recovery is None:
            self._recovery = CheckedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()

    async def on_rebalance(
        self,
        assigned: set[Any],
        revoked: set[Any],
        newly_assigned: set[Any],
        generation_id: int = 0,
    ) -> None:
        """Begin a recovery without changes of before: what they belong to comes again."""
        self.app.producer.claim({})
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)


class StreamApp(faust.App):
    """A Faust app that stops on a failure instead of acknowledging it.

    Attributes
    ----------
    start_offsets
        Set by a role that keeps its own offsets: see `stream.transport.StartOffsets`.
    on_drain
        Awaited at a clean stop or a rebalance, after the runs in flight and before the commit:
        where the learner writes a last checkpoint and acknowledges.
    read_committed
        Set by a role that reads what others write in transactions: what was undone isn't read.
    waiting
        How many agents pause because a neighbour is away.
    failure
        What stops the process, once something does.
    """

    role: str
    kafka: KafkaConfig
    stream_config: StreamConfig
    start_offsets: transport.StartOffsets | None = None
    on_drain: Callable[[], Awaitable[None]] | None = None
    read_committed: bool = False
    failure: BaseException | None = None

    def __init__(
        self,
        *args: Any,
        role: str,
        kafka: KafkaConfig,
        stream_config: StreamConfig,
        **kwargs: Any,
    ) -> None:
        self.role = role
        self.kafka = kafka
        self.stream_config = stream_config
        self.failed = asyncio.Event()
        self.stopping = asyncio.Event()
        self.ready = False
        self.waiting = 0
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        super().__init__(*args, **kwargs)

    def fail(self, reason: BaseException) -> None:
        """Stop the process with an error; nothing that is unfinished gets acknowledged."""
        if self.failure is None:
            reason = refusal(reason, self.kafka) or reason
            self.failure = reason
            ROLE_READY.set(0)
            log.critical("role %s stops: %s", self.role, reason, exc_info=reason)
        self.failed.set()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Mark a run as in flight: a stop or a rebalance waits for it."""
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    @property
    def busy(self) -> bool:
        """Whether a run is in flight."""
        return self._busy > 0

    def on_rebalance_start(self) -> None:
        """Partitions are about to move."""
        self.ready = False
        ROLE_READY.set(0)
        super().on_rebalance_start()

    def on_rebalance_end(self) -> None:
        """Partitions are assigned and tables are recovered."""
        super().on_rebalance_end()
        self.ready = True
        if self.failure is None and not self.stopping.is_set():
            ROLE_READY.set(1)

    async def crash(self, reason: BaseException) -> None:
        """Take an error of Faust's own services as a failure of the role."""
        self.fail(reason)
        await super().crash(reason)

    def _crash(self, reason: BaseException) -> None:
        self.fail(reason)
        super()._crash(reason)

    async def _producer_flush(self, logger: Any) -> None:
        # Before partitions move. What doesn't reach its changelog now belongs to runs that aren't
        # acknowledged: they come again, here or elsewhere.
        try:
            await super()._producer_flush(logger)
        except Unavailable as error:
            log.warning("role %s gives partitions back without a last flush: %s", self.role, error)

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        # At a stop or a rebalance, in this order: 1. runs in flight end, 2. the role's own last
        # word, 3. commit. A crash before 3 repeats the runs of 1.
        config = self.stream_config
        try:
            async with asyncio.timeout(config.drain_timeout_s):
                await self._idle.wait()
                if self.on_drain is not None and self.failure is None:
                    await self.on_drain()
        except TimeoutError:
            log.warning(
                "role %s: a run took over %g s to end; it will be repeated",
                self.role,
                config.drain_timeout_s,
            )
        try:
            await asyncio.wait_for(consumer.commit(), config.drain_timeout_s / 2)
        except TimeoutError:
            log.warning("role %s could not commit: what isn't committed is repeated", self.role)


def make_app(
    role: str, kafka: KafkaConfig, config: StreamConfig, data_dir: Path, **settings: Any
) -> StreamApp:
    """Make a role's app: group `<prefix><role>`, tables below `data_dir/state/<role>`.

    Parameters
    ----------
    role
        The role's name, part of its consumer group: `ingest-profile`, `learner`.
    kafka, config
        Where the broker is, and how to read from it.
    data_dir
        Where local state may be kept; it can be rebuilt from the changelog topics.
    settings
        Further settings of Faust, over ours.
    """
    state = (data_dir / "state" / role).absolute()
    state.mkdir(parents=True, exist_ok=True)
    app = StreamApp(
        **{
            "id": f"{kafka.topic_prefix}{role}",
            "role": role,
            "kafka": kafka,
            "stream_config": config,
            "broker": kafka.faust_url,
            **faust_settings(kafka),
            "datadir": str(state),
            "store": "rocksdb://",
            "Table": NewestTable,
            "TableManager": _QuickTables,
            "key_serializer": "raw",
            "value_serializer": "raw",
            "autodiscover": False,
            "web_enabled": False,
            "topic_disable_leader": True,
            "topic_partitions": kafka.partitions,
            "topic_replication_factor": kafka.replication,
            "consumer_auto_offset_reset": "earliest",
            "broker_max_poll_records": config.max_run_records,
            "broker_commit_interval": config.commit_interval_s,
            "broker_request_timeout": config.request_timeout_s,
            "broker_session_timeout": config.session_timeout_s,
            "broker_heartbeat_interval": config.session_timeout_s / 5,
            "consumer_group_instance_id": config.instance or None,
            "stream_wait_empty": False,
            "producer_acks": -1,
            "producer_compression_type": "zstd",
            "producer_max_batch_size": 256 * 1024,
            "producer_linger": 0.0,
            "producer_request_timeout": config.request_timeout_s,
            **settings,
        }
    )
    return app


def run_topic(app: StreamApp, *names: str) -> Any:
    """Return the Faust topic whose agent receives a `Run` per fetch and partition."""
    return app.topic(
        *names,
        key_serializer="raw",
        value_serializer="raw",
        allow_empty=True,
    )


def bytes_table(app: StreamApp, name: str, partitions: int, older: Older | None = None) -> Any:
    """Return a table from bytes to bytes, on disk, with a compacted changelog topic.

    Parameters
    ----------
    app
        The app whose agents write to it: from within a run, whose partition a key then belongs to.
    name
        The table's name; its changelog topic is `<group>-<name>-changelog`.
    partitions
        As many as the topic has whose runs write to it.
    older
        Tells whether a value was made before another one of the same key: see `stream.tables`.
    """
    table = app.Table(
        name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        extra_topic_configs={
            "max.compaction.lag.ms": str(COMPACTION_LAG_MS),
            "segment.ms": str(COMPACTION_LAG_MS),
        },
        options=dict(STORE_OPTIONS),
    )
    table.older = older
    return table
