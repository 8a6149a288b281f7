"""Half an hour at half of what the stack can do: does anything grow that should not?

    python -m tests.bench soak --minutes 30 --plot docs/soak.svg

The whole stack runs (embedded Kafka, all roles). A burst first tells what it can do; then the shop
plays at half of that. Every few seconds each process is looked at: resident memory, file handles,
threads; and the folders of the states, the models, the features and the broker's log. Growth is the
slope by least squares after the first quarter, the warm-up.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kafka import KafkaProducer
from matplotlib.figure import Figure

from infra.config import RunConfig
from infra.lag import lag
from infra.settings import Settings
from infra.supervise import Supervisor
from stream.connect import KafkaConfig
from stream.shop import Shop, ShopRecord
from stream.topics import RAW_EVENT_TOPICS
from tests.bench._weighed import Weight, bytes_in, slope, weigh

BURST = 3_000
LOOK_S = 5.0
FOLDERS = ("state", "models", "features", "broker", "logs")
WARM_UP = 0.25
PATIENCE_S = 300.0


class Looks:
    """What was seen, by process and by folder."""

    def __init__(self) -> None:
        self.processes: dict[str, list[Weight]] = {}
        self.folders: dict[str, list[tuple[float, float]]] = {}
        self.lags: list[tuple[float, int]] = []

    def look(self, stack: Supervisor, data_dir: Path, at_s: float) -> None:
        """Look once at everything."""
        pids = {status.name: status.pid for status in stack.status()}
        pids["broker"] = stack.broker.pid if stack.broker is not None else None
        for name, pid in pids.items():
            seen = weigh(pid, at_s) if pid is not None else None
            if seen is not None:
                self.processes.setdefault(name, []).append(seen)
        for name in FOLDERS:
            size_mb = bytes_in(data_dir / name) / 1e6
            self.folders.setdefault(name, []).append((at_s, size_mb))
        self.lags.append((at_s, sum(stack.lag.values())))

    def figures(self, from_s: float) -> dict[str, dict[str, float]]:
        """For each process, the end and the growth per hour after the warm-up."""
        found = {}
        for name, weights in self.processes.items():
            late = [weight for weight in weights if weight.at_s >= from_s]
            hours = [weight.at_s / 3600 for weight in late]
            found[name] = {
                "rss_mb": round(late[-1].rss_mb, 1),
                "rss_mb_per_hour": round(slope(hours, [w.rss_mb for w in late]), 2),
                "files": late[-1].files,
                "files_per_hour": round(slope(hours, [float(w.files) for w in late]), 2),
                "threads": late[-1].threads,
                "threads_per_hour": round(slope(hours, [float(w.threads) for w in late]), 2),
            }
        for name, sizes in self.folders.items():
            late_sizes = [(at_s / 3600, size) for at_s, size in sizes if at_s >= from_s]
            growth = slope([at for at, _ in late_sizes], [size for _, size in late_sizes])
            found[f"{name}/"] = {
                "mb": round(late_sizes[-1][1], 1),
                "mb_per_hour": round(growth, 2),
            }
        return found


def send(
    kafka: KafkaConfig, shop: Iterator[ShopRecord], rate_per_s: float | None, stop: threading.Event
) -> int:
    """Send what happens in the shop until `stop`, or a burst at once where there is no rate."""
    producer = KafkaProducer(**kafka.client_settings(), acks="all", linger_ms=5)
    sent, started_s = 0, time.monotonic()
    for record in shop:
        producer.send(f"{kafka.topic_prefix}{record.topic_kind}", record.value, record.key)
        sent += record.topic_kind in RAW_EVENT_TOPICS
        if rate_per_s is None:
            if sent >= BURST:
                break
        elif stop.wait(max(0.0, started_s + sent / rate_per_s - time.monotonic())):
            break
    producer.flush(60)
    producer.close()
    return sent


def drained(kafka: KafkaConfig) -> float:
    """Wait until everything is read; the seconds that it took."""
    started_s = time.monotonic()
    while any(lag(kafka).values()):
        if time.monotonic() - started_s > PATIENCE_S:
            sys.exit(f"still unread after {PATIENCE_S:g} s: {lag(kafka)}")
        time.sleep(0.2)
    return time.monotonic() - started_s


def soak(minutes: float, rate_per_s: float | None, folder: Path) -> tuple[Looks, dict[str, object]]:
    """Run it; what was seen, and the figures."""
    settings = Settings.load().with_values(
        {"run.data_dir": str(folder), "broker.port": 0, "supervise.lag_every_s": 2.0}, "the soak"
    )
    looks, stop = Looks(), threading.Event()
    with Supervisor(settings, say=lambda text: print(text, file=sys.stderr)) as stack:
        shop = Shop(seed=5)
        events = shop.records()
        produced = send(stack.kafka, iter(shop.item_records()), 1e9, stop)
        produced += send(stack.kafka, events, None, stop)
        capacity = BURST / max(drained(stack.kafka), 0.1)
        rate = rate_per_s or capacity / 2
        print(f"capacity {capacity:.0f} events/s; playing at {rate:.0f}", file=sys.stderr)
        sent: list[int] = []
        player = threading.Thread(
            target=lambda: sent.append(send(stack.kafka, events, rate, stop)), daemon=True
        )
        player.start()
        started_s = time.monotonic()
        data_dir = Path(stack.settings.section(RunConfig).data_dir)
        while (at_s := time.monotonic() - started_s) < minutes * 60:
            stack.check()
            looks.look(stack, data_dir, at_s)
            sizes = {name: round(seen[-1].rss_mb) for name, seen in looks.processes.items()}
            print(f"{at_s:5.0f} s  lag {looks.lags[-1][1]:6}  MB {sizes}", file=sys.stderr)
            stop.wait(LOOK_S)
        stop.set()
        player.join()
        left_s = drained(stack.kafka)
        restarts = {status.name: status.restarts for status in stack.status()}
    figures: dict[str, object] = {
        "minutes": minutes,
        "capacity_per_s": round(capacity, 1),
        "rate_per_s": round(rate, 1),
        "events": produced + sum(sent),
        "longest_lag": max(behind for _, behind in looks.lags),
        "drained_s": round(left_s, 1),
        "restarts": restarts,
        "growth": looks.figures(minutes * 60 * WARM_UP),
    }
    return looks, figures


def draw(looks: Looks, path: Path) -> None:
    """Draw memory, handles and folders over time."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    memory, handles, folders = figure.subplots(3, 1, sharex=True)
    for name, weights in looks.processes.items():
        minutes = [weight.at_s / 60 for weight in weights]
        memory.plot(minutes, [weight.rss_mb for weight in weights], label=name)
        (line,) = handles.plot(minutes, [weight.files for weight in weights], label=name)
        handles.plot(minutes, [w.threads for w in weights], ":", color=line.get_color())
    for name, sizes in looks.folders.items():
        folders.plot([at / 60 for at, _ in sizes], [size for _, size in sizes], label=name)
    memory.set_ylabel("resident memory, MB")
    handles.set_ylabel("file handles; dotted: threads")
    folders.set_ylabel("folder, MB")
    folders.set_yscale("log")
    folders.set_xlabel("minutes")
    for part in (memory, handles, folders):
        part.legend(loc="upper left", fontsize="small")
        part.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, help="events per second instead of half the capacity")
    parser.add_argument("--plot", type=Path, help="draw the looks into this .svg or .png")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        looks, figures = soak(options.minutes, options.rate, Path(folder))
    if options.plot:
        draw(looks, options.plot)
    growth = figures["growth"]
    assert isinstance(growth, dict)
    for name, row in growth.items():
        print(f"{name:16}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
