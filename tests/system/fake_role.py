"""A role that does nothing but start, say that it is ready, and leave as it is told.

    python -m tests.system.fake_role ROLE

Files in the data folder tell it how to behave: `<role>.halt` makes it fail at start with the text
in it, `<role>.stubborn` makes it ignore SIGTERM, `<role>.refuses` makes it give up as a role does
on which too many records fail, with the text in it. `order` notes who stopped, line by line.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from infra.config import RunConfig
from infra.exposition import Exposition
from infra.logs import configure_logging
from infra.settings import Settings
from stream.errors import TOO_MANY_REFUSED_EXIT
from stream.metrics import ROLE_READY

log = logging.getLogger(__name__)


def main(role: str) -> int:
    """Run until SIGTERM."""
    settings = Settings.load()
    run = settings.section(RunConfig)
    folder = Path(run.data_dir)
    configure_logging(role, run.log_level, as_json=run.log_json)
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
        refuses = folder / f"{role}.refuses"
        if refuses.exists():
            log.critical("role %s stops: %s", role, refuses.read_text())
            log.error("and more is said while it stops")
            return TOO_MANY_REFUSED_EXIT
        stop.wait()
    with (folder / "order").open("a") as order:
        order.write(f"{role}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
