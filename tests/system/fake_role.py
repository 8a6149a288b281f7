"""A role that does nothing but start, say that it is ready, and leave as it is told.

    python -m tests.system.fake_role ROLE

Files in the data folder tell it how to behave: `<role>.halt` makes it fail at start with the text
in it, `<role>.stubborn` makes it ignore SIGTERM. `order` notes who stopped, line by line.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from infra.config import RunConfig
from infra.exposition import Exposition
from infra.logs import configure_logging
from infra.settings import Settings
from stream.metrics import ROLE_READY


def main(role: str) -> int:
    """Run until SIGTERM."""
    settings = Settings.load()
    folder = Path(settings.section(RunConfig).data_dir)
    configure_logging(role)
    halt = folder / f"{role}.halt"
    if halt.exists():
        print(halt.read_text(), file=sys.stderr)
        return 1
    stop = threading.Event()
    if (folder / f"{role}.stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Exposition(role, settings):
        ROLE_READY.set(1)
        stop.wait()
    with (folder / "order").open("a") as order:
        order.write(f"{role}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
