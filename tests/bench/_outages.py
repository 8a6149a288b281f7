"""A stack under traffic whose broker goes away and comes back, and who consumes again when."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, NamedTuple, Self

from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError

from infra.bench.stack import OwnStack
from infra.lag import READS
from infra.roles import ROLES
from infra.topic_admin import connect, offsets, partition_counts
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.shop import Shop

Kind = Literal["stopped", "frozen"]

LOOK_S = 0.2
"""Pause between two looks: the figures are as exact as this and a broker's answer."""

_TICK_S = 0.05


class Outage(NamedTuple):
    """What one outage did.

    Attributes
    ----------
    broker_s
        From the order to come back until the broker answered.
    again_s
        By role, from that answer on, when a record that was produced after it was consumed and
        committed; `None`: not within the time.
    red_s
        By role, when it said for the first time since the outage began that it isn't ready, from
        the outage's beginning on; `None`: never.
    restarts
        By role, how often the supervisor started it anew.
    """

    kind: Kind
    broker_s: float
    again_s: dict[str, float | None]
    red_s: dict[str, float | None]
    restarts: dict[str, int]

    def failures(self, again_s: float, red_s: float) -> list[str]:
        """The roles that neither consumed again in time nor were red in time and then restarted."""
        return [
            role
            for role, seconds in self.again_s.items()
            if (seconds is None or seconds > again_s)
            and not (
                seconds is not None
                and self.restarts[role]
                and (self.red_s[role] or red_s + 1) <= red_s
            )
        ]


class Traffic:
    """A shop that goes on trading, whatever the broker does; a context manager."""

    def __init__(self, kafka: KafkaConfig, rate: float) -> None:
        self._shop = Shop(7)
        self._prefix = kafka.topic_prefix
        self._rate = rate
        self._stop = threading.Event()
        self._producer = KafkaProducer(
            **kafka.client_settings(), acks="all", delivery_timeout_ms=300_000, max_block_ms=300_000
        )
        self._thread = threading.Thread(target=self._trade, daemon=True)

    def __enter__(self) -> Self:
        for record in self._shop.item_records():
            self._send(record.topic_kind, record.key, record.value)
        self._producer.flush(60)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        self._producer.close(timeout=10)

    def _trade(self) -> None:
        records = self._shop.records()
        while not self._stop.wait(_TICK_S):
            for _ in range(max(1, round(self._rate * _TICK_S))):
                record = next(records)
                self._send(record.topic_kind, record.key, record.value)

    def _send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self._producer.send(f"{self._prefix}{topic}", key=key, value=value)


class Stack(OwnStack):
    """A stack whose broker goes away and comes back."""

    def outage(self, kind: Kind, lasts_s: float, patience_s: float) -> Outage:
        """Take the broker away for a while, and see who consumes again, and when."""
        restarts = self._restarts()
        began_s, red_s = time.monotonic(), dict[str, float | None](dict.fromkeys(ROLES))
        pid = self.broker.pid
        assert pid is not None, "the broker runs"
        if kind == "stopped":
            self.broker.stop()
        else:
            os.kill(pid, signal.SIGSTOP)
        while time.monotonic() - began_s < lasts_s:
            self._note_red(red_s, began_s)
            time.sleep(LOOK_S)
        ended_s = time.monotonic()
        if kind == "stopped":
            self.broker.start()
        else:
            os.kill(pid, signal.SIGCONT)
            self.broker.wait_until_ready()
        back_s = time.monotonic()
        again_s: dict[str, float | None] = dict.fromkeys(ROLES)
        for role in self._consuming(back_s + patience_s):
            if role:
                again_s[role] = time.monotonic() - back_s
            self._note_red(red_s, began_s)
        now = self._restarts()
        again = {role: now[role] - restarts[role] for role in ROLES}
        return Outage(kind, back_s - ended_s, again_s, red_s, again)

    def consuming(self, within_s: float) -> None:
        """Wait until every role consumes what is produced now."""
        found = {role for role in self._consuming(time.monotonic() + within_s) if role}
        assert found == set(ROLES), f"in {within_s:g} s only {found} consumed"

    def _consuming(self, until_s: float) -> Iterator[str]:
        """The roles, each when it has committed a record that is newer than this call.

        An empty name between two looks.
        """
        waiting = set(ROLES)
        ends: dict[TopicPartition, int] = {}
        while waiting and time.monotonic() < until_s:
            self.supervisor.check()
            try:
                with connect(self.supervisor.kafka) as admin:
                    if not ends:
                        ends = self._ends(admin)
                    done = {role for role in waiting if self._past(admin, role, ends)}
            except (Unavailable, KafkaError):
                done = set()
            waiting -= done
            yield from done or ("",)
            time.sleep(LOOK_S)

    def _ends(self, admin: KafkaAdminClient) -> dict[TopicPartition, int]:
        prefix = self.supervisor.kafka.topic_prefix
        names = sorted({prefix + topic for topics in READS.values() for topic in topics})
        counts = partition_counts(admin, names)
        places = [TopicPartition(name, p) for name in names for p in range(counts[name])]
        return offsets(admin, places, OffsetSpec.LATEST)

    def _past(self, admin: KafkaAdminClient, role: str, ends: dict[TopicPartition, int]) -> bool:
        """Whether a role has committed more than was there."""
        group = f"{self.supervisor.kafka.topic_prefix}{role}"
        found = admin.list_group_offsets({group: list(ends)})[group]
        return any(commit.offset > ends[place] for place, commit in found.items())

    def _restarts(self) -> dict[str, int]:
        return {status.name: status.restarts for status in self.supervisor.status()}

    def _note_red(self, red_s: dict[str, float | None], began_s: float) -> None:
        for status in self.supervisor.status():
            if status.state != "ready" and red_s[status.name] is None:
                red_s[status.name] = time.monotonic() - began_s
