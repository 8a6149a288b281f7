"""The serving role as a process that stops itself in the middle of a transaction.

    python -m tests.system.serving_stops BOOTSTRAP PREFIX POINT:COUNT:SIGNAL [INSTANCE]

At the COUNT-th time that it comes to POINT, it sends itself SIGNAL (KILL or STOP):

- `sent`: the answers are on their way, the offsets are not;
- `end`: answers and offsets are acked, the transaction is still open;
- `ended`: the transaction is done, and the loop doesn't know.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from serving import send_kafka
from serving.agent import stop_on_signals
from stream.connect import KafkaConfig
from tests.system.serving_process import SMALL_BATCHES, serving


def stop_at(point: str, count: int, number: signal.Signals) -> None:
    """Patch the producer so that the process stops there."""
    producer = send_kafka._Transactions
    name = "send_offsets" if point == "sent" else "end"
    original: Callable[..., None] = getattr(producer, name)
    left = count

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

    def stopping(self: Any, *arguments: Any) -> None:
        if point == "sent":
            self.flush(timeout=30)
        if point != "ended":
            pass_by()
        original(self, *arguments)
        if point == "ended":
            pass_by()

    setattr(producer, name, stopping)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    told = threading.Event()
    stop_on_signals(told)
    where, times, what = sys.argv[3].split(":")
    stop_at(where, int(times), signal.Signals[f"SIG{what}"])
    here = KafkaConfig(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2])
    name = sys.argv[4] if len(sys.argv) > 4 else ""
    serving(here, msgspec.structs.replace(SMALL_BATCHES, instance=name)).run(told)
