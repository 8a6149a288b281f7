"""Ingest in a process of its own, for the test that kills it between its two effects."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from stream.agent import add_ingest
from stream.app import StreamConfig, make_app, run_app
from stream.clock import SystemClock
from stream.connect import KafkaConfig
from stream.ingest import IngestConfig
from stream.outgoing import Outgoing
from stream.publish import Publisher


class Behind(SystemClock):
    """A clock that is late: to its process, what happens now lies in the future."""

    late_ms = 0

    def now_ms(self) -> int:
        """The time of day, as this clock has it."""
        return super().now_ms() - self.late_ms


class Doomed(Publisher):
    """A publisher whose process dies, as by kill -9, once so many calls have been acked."""

    die_after = 0
    calls = 0

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Publish, and die if it was the call to die after; calls without records don't count."""
        await super().publish(topic, records)
        self.calls += bool(records)
        if records and self.calls == self.die_after:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run ingest: `bootstrap prefix data_dir die_after_calls (0: never) [clock_late_s]`."""
    logging.basicConfig(level=logging.WARNING)
    bootstrap, prefix, data_dir, die_after = sys.argv[1:5]
    kafka = KafkaConfig(bootstrap_servers=bootstrap, topic_prefix=prefix)
    config = StreamConfig(max_run_records=100, commit_interval_s=0.05, instance="one")
    app = make_app("ingest", kafka, config, Path(data_dir))
    publisher = Doomed(kafka)
    publisher.die_after = int(die_after)
    clock = Behind()
    clock.late_ms = 1_000 * int(sys.argv[5]) if len(sys.argv) > 5 else 0
    add_ingest(app, kafka, IngestConfig(), publisher, clock)
    return run_app(app, on_stop=publisher.stop)


if __name__ == "__main__":
    sys.exit(main())
