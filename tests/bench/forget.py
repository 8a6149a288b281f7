"""5,000 users, 100 of whom are forgotten: is anything of them left, and how soon is nothing?

A whole stack on this machine (supervisor, three role processes, broker). Users leave events, a
review with words, a request, answers and dead letters. Then some of them send more, and at once
`tidemill forget` is run for them. The search looks into every file of the data folder (the
broker's segments also record by record, compressed ones too), into Redis and its files. It has to
find each of them before, none of them after, and everybody else after. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from infra.export import knows_nothing
from infra.tether import tethered
from tests.bench._byte_search import tail, user_ids
from tests.bench._forgetting import Shop, Stage
from tests.chaos.cluster import free_ports

LIMIT_S = 600.0
"""The bar: nothing is found after this long."""

LATER_S = 45.0
"""So long a worker that stands still is given before it is restarted."""

Store = Literal["sqlite", "redis"]


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis that keeps both of its files; yields its port."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is not installed: apt-get install redis-server"
    folder.mkdir(parents=True)
    port = free_ports(1)[0]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "1 1", "--appendonly", "yes"]
    with (folder / "redis.out").open("wb") as out:
        process = subprocess.Popen(tethered(command), stdout=out, stderr=out)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def play(  # noqa: PLR0913 - one per size
    folder: Path,
    store: Store,
    *,
    users: int,
    erased: int,
    events: int,
    later_s: float = 0.0,
    quick: bool = False,
) -> dict[str, Any]:
    """Let users trade, forget some of them, and look for them; the figures of it."""
    if store == "redis":
        with redis_server(folder / "redis") as port:
            return _play(folder, port, users, erased, events, later_s, quick)
    return _play(folder, None, users, erased, events, later_s, quick)


def _play(  # noqa: PLR0913, PLR0917
    folder: Path,
    redis_port: int | None,
    users: int,
    erased: int,
    events: int,
    later_s: float,
    quick: bool,
) -> dict[str, Any]:
    everybody = user_ids(users, seed=11)
    leaving, staying = everybody[:erased], everybody[erased:]
    with Stage(folder, redis_port, quick=quick) as stage:
        shop = Shop(stage.kafka, seed=3)
        try:
            shop.items()
            shop.trade(everybody, events)
            stage.settle()
            before, _ = stage.search()
            letters = stage.letters_of(staying)
            shop.trade(leaving, 2)  # on its way while they are forgotten
            started_s = time.monotonic()
            if quick:
                stage.begin_to_forget(leaving)
                said = stage.forget([])  # goes on with whom the topic still names
            else:
                said = stage.forget(leaving)
            seconds = time.monotonic() - started_s
            after, searched = stage.search()
            kept = stage.letters_of(staying)
            known = stage.known(leaving[0])
            neighbour = json.loads(stage.shown(staying[0], "--export"))
            # They come back, and are new.
            shop.trade(leaving[:1], 1)
            stage.settle()
            again = stage.known(leaving[0])
            stage.watch(later_s)
        finally:
            shop.close()
    hits = {user_id: after[tail(user_id)] for user_id in leaving if tail(user_id) in after}
    return {
        "store": "sqlite" if redis_port is None else "redis",
        "users": users,
        "erased": erased,
        "found_before": sum(tail(user_id) in before for user_id in leaving),
        "hits": len(hits),
        "where": sorted({place for places in hits.values() for place in places})[:20],
        "others_found": sum(tail(user_id) in after for user_id in staying),
        "letters_erased": said["letters_erased"],
        "letters_unsure": said["letters_unsure"],
        "letters_of_others": letters.total(),
        "letters_of_others_changed": (letters - kept).total() + (kept - letters).total(),
        "knows_nothing": knows_nothing(known),
        "neighbour_events": neighbour["state"]["events"] if neighbour["state"] else 0,
        "events_when_back": again["state"]["events"] if again["state"] else 0,
        "restarts": sum(status.restarts for status in stage.supervisor.status()),
        "searched_mb": round(searched / 1e6, 1),
        "seconds": round(seconds, 1),
    }


def failures(figures: dict[str, Any], events: int) -> list[str]:
    """What is not as it has to be."""
    wanted = {
        "found_before": figures["erased"],
        "hits": 0,
        "others_found": figures["users"] - figures["erased"],
        "letters_of_others_changed": 0,
        "knows_nothing": True,
        "neighbour_events": events + 2,
        "events_when_back": 3,
        "restarts": 0,
    }
    wrong = [f"{k} is {figures[k]}, not {v}" for k, v in wanted.items() if figures[k] != v]
    if figures["seconds"] > LIMIT_S:
        wrong.append(f"took {figures['seconds']} s, not {LIMIT_S:g}")
    return wrong


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--erase", type=int, default=100)
    parser.add_argument("--events", type=int, default=3, help="clicks of each user")
    parser.add_argument("--store", choices=("sqlite", "redis", "both"), default="both")
    parser.add_argument("--json", action="store_true", help="print one JSON line per store")
    arguments = parser.parse_args()
    stores: tuple[Store, ...] = ("sqlite", "redis")
    failed = False
    for store in stores if arguments.store == "both" else (arguments.store,):
        with tempfile.TemporaryDirectory(prefix="tidemill-forget-") as name:
            figures = play(
                Path(name),
                store,
                users=arguments.users,
                erased=arguments.erase,
                events=arguments.events,
                later_s=LATER_S,
            )
        wrong = failures(figures, arguments.events)
        failed |= bool(wrong)
        if arguments.json:
            print(json.dumps(figures), flush=True)
        else:
            print("\n".join(f"{name:<28} {value}" for name, value in figures.items()))
        for line in wrong:
            print(line, file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
