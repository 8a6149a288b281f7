"""From a process's start to its being at work: the command's help, each role, a lost disk.

Roles start warm: each was started once before, so that its files are in memory, its bytecode is
written and its topics are there. All three at once is what `tidemill up` does.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import psutil

from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from infra.bench.recovery import CHANGELOG, INPUT, changes
from infra.bench.topic import broker, create, fill
from infra.child import Child, worker_command
from infra.config import SuperviseConfig
from infra.roles import ROLES
from infra.settings import Settings
from infra.supervise import child_environment
from infra.topic_admin import create_topics
from stream.connect import KafkaConfig
from stream.errors import TidemillError

HELP_S, ROLE_S = 0.5, 10.0
"""The bars."""

HELPS = 7

WAIT_S = 300.0

LOOK_S = 0.05

PARTITIONS = 4

USERS = 1_000_000


class NotReady(TidemillError):
    """A role ended, or was not at work in time."""


def measure(run: Run) -> Iterator[Bar]:
    """Start everything there is to start."""
    yield help_bar()
    with broker(run) as kafka:
        yield from roles(run, kafka)
        yield recovered(run, kafka)


def help_bar() -> Bar:
    """`tidemill --help`, the median of some."""
    times = []
    for _ in range(HELPS):
        began = time.perf_counter()
        command = [sys.executable, "-m", "infra.cli", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    value = statistics.median(times)
    return Bar(
        name="startup/help",
        value=value,
        unit="s",
        against={"slowest": max(times)},
        bar=f"< {HELP_S:g} s",
        holds=value < HELP_S,
    )


def roles(run: Run, kafka: KafkaConfig) -> Iterator[Bar]:
    """Each role, alone and with the others at once."""
    settings = Settings.load().with_values(
        {
            "run.data_dir": str(run.folder / "data"),
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
        },
        "the bench",
    )
    create_topics(settings.section(KafkaConfig))
    started(run, settings, ROLES)  # the first time: not what is measured
    run.say("started once")
    together = started(run, settings, ROLES)
    for role in ROLES:
        alone = started(run, settings, [role])[role]
        seconds, cpu_s, rss_mb = together[role]
        run.say(f"{role}: {rss_mb:,.0f} MB at rest")
        yield Bar(
            name=f"startup/{role}",
            value=seconds,
            unit="s to ready, all roles at once",
            against={"alone": alone[0], "processor, alone": alone[1], "at once": cpu_s},
            bar=f"< {ROLE_S:g} s",
            holds=seconds < ROLE_S,
        )


def started(
    run: Run, settings: Settings, names: Sequence[str]
) -> dict[str, tuple[float, float, float]]:
    """Start roles, wait for them, and stop them.

    Returns seconds to ready, the processor's seconds until then, and megabytes, by role.
    """
    folder = run.folder / "data"
    children = {
        role: Child(
            role, folder, child_environment(role, settings, os.environ), worker_command(role)
        )
        for role in names
    }
    found: dict[str, tuple[float, float, float]] = {}
    began = time.perf_counter()
    try:
        for child in children.values():
            child.start()
        while len(found) < len(children):
            time.sleep(LOOK_S)
            for role, child in children.items():
                if child.exit_code() is not None or time.perf_counter() - began > WAIT_S:
                    message = f"{role} is not at work: {child.reason()}; see {child.log_path}"
                    raise NotReady(message)
                if role not in found and child.ready():
                    seconds = time.perf_counter() - began
                    process = psutil.Process(child.pid)
                    spent, held = process.cpu_times(), process.memory_info().rss
                    found[role] = seconds, spent.user + spent.system, held / 1e6
    finally:
        for child in reversed(children.values()):
            child.ask_to_stop()
            child.end(settings.section(SuperviseConfig).stop_timeout_s)
    return found


def recovered(run: Run, kafka: KafkaConfig) -> Bar:
    """A table of many users from its changelog, the disk being lost."""
    users = run.sized(USERS, least=1_000)
    create(kafka.bootstrap_servers, {CHANGELOG: PARTITIONS, INPUT: PARTITIONS})
    began = time.perf_counter()
    written = asyncio.run(fill(kafka, CHANGELOG, changes(users, PARTITIONS)))
    run.say(f"{written:,} states written in {time.perf_counter() - began:.1f} s")
    found = apart("infra.bench.recovery:recover", kafka.bootstrap_servers, PARTITIONS)
    run.say(f"recovered in {found['seconds']:.1f} s, {found['cpu_s']:.1f} s of a core")
    return Bar(
        name="startup/recovery",
        value=found["rows"] / found["seconds"],
        unit="users/s",
        against={"users": found["rows"], "seconds": found["seconds"], "MB": found["mb"]},
        bar="all of them are there",
        holds=found["rows"] == users,
    )
