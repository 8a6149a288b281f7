"""Does what the schedule says, one small step at a time, and measures what it does.

`step` is called ten times a second from the thread that owns all processes. A fault begins once its
place in the stream has come and its target can bear it; what takes time has an end that falls due.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from kafka.errors import KafkaError

from tests.chaos.cluster import Cluster
from tests.chaos.disk import Disk
from tests.chaos.redis_server import RedisServer
from tests.chaos.roles import Process
from tests.chaos.schedule import Fault
from tests.chaos.watch import Sample, Watch
from tests.chaos.worker import Orders

IN_WORK_WAIT_S = 60.0
"""A kill waits so long for its target to have work in hand; then it comes all the same."""

AIMED_WAIT_S = 40.0
"""A point that isn't reached in this time is given up: the process is killed where it is."""

LOOK_S = 0.5

JUMPS_MS = (-7_200_000, -60_000, 60_000, 7_200_000)
"""How far a role's clock jumps: two hours as at a wrong time zone, a minute as at a slow clock."""


@dataclass
class Kill:
    """One kill -9 of a process, and what came of it."""

    target: str
    how: str
    in_work: bool
    at_s: float = field(default_factory=time.monotonic)
    baseline: int | None = None
    recovery_s: float | None = None


@dataclass
class Stage:
    """All that can be broken."""

    cluster: Cluster
    redis: RedisServer
    disks: Mapping[str, Disk]
    processes: Mapping[str, Process]
    extra: Process
    watch: Watch
    topics: list[str]


class Director:
    """Breaks a stage by a schedule.

    Parameters
    ----------
    stage
        What is broken.
    faults
        What is to be done, in order.
    share
        How much of the stream is out, from 0 to 1.
    say
        Told what happens.
    seed
        For what is drawn on the spot: new leaders, a clock's jump.
    """

    def __init__(
        self,
        stage: Stage,
        faults: list[Fault],
        share: Callable[[], float],
        say: Callable[[str], None],
        seed: int,
    ) -> None:
        self.kills: list[Kill] = []
        self.by_kind: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.sample: Sample | None = None
        self._stage = stage
        self._faults = list(faults)
        self._share = share
        self._say = say
        self._rng = Random(f"director {seed}")
        self._due: dict[Fault, float] = {}
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._busy: set[str] = set()
        self._armed: dict[str, tuple[Fault, float]] = {}
        self._looked_s = 0.0
        self._everyone = [*stage.processes.values(), stage.extra]

    @property
    def open(self) -> int:
        """Faults that have not ended."""
        return len(self._faults) + len(self._ends) + len(self._armed)

    @property
    def healed(self) -> bool:
        """Whether all is over and every process is at work."""
        ready = all(process.state == "ready" for process in self._stage.processes.values())
        return not self.open and ready and self._stage.extra.state == "away"

    def step(self) -> None:
        """Look at everything once, and do what is due."""
        for process in self._everyone:
            if process.look():
                fault, _ = self._armed.pop(process.name)
                self._killed(fault, in_work=True)
        now_s = time.monotonic()
        while self._ends and self._ends[0][0] <= now_s:
            heapq.heappop(self._ends)[2]()
        for name, (fault, until_s) in list(self._armed.items()):
            process = self._stage.processes[name]
            late = now_s > until_s and process.state == "ready"
            if fault.kind == "zombie" and (late or process.stopped()):
                del self._armed[name]
                self._pause(fault)
            elif late:
                del self._armed[name]
                self._kill(fault)
        share = self._share()
        for fault in [fault for fault in self._faults if fault.at <= share]:
            self._due.setdefault(fault, now_s)
            if self._begin(fault):
                self._faults.remove(fault)
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            self.sample = self._stage.watch.look() or self.sample
            self._measure_recovery()

    def _begin(self, fault: Fault) -> bool:
        """Begin a fault if its target can bear it now."""
        kind = fault.kind
        if kind in ("kill", "aimed", "zombie"):
            return self._hit(fault)
        target = fault.target if kind in ("worker-removed", "disk-full", "clock-jump") else ""
        where = target or kind.partition("-")[0]
        if where in self._busy:
            return False
        if target and self._stage.processes[target].state != "ready":
            return False
        begin: dict[str, Callable[[Fault], bool]] = {
            "worker-added": self._add_worker,
            "worker-removed": self._remove_worker,
            "broker-kill": self._kill_broker,
            "leader-move": self._move_leaders,
            "redis-kill": self._kill_redis,
            "redis-wiped": self._kill_redis,
            "network-delay": self._break_network,
            "network-hold": self._break_network,
            "network-cut": self._break_network,
            "disk-full": self._fill_disk,
            "clock-jump": self._jump,
        }
        if not begin[kind](fault):
            return False
        self.by_kind[kind] += 1
        self._say(f"{kind} {fault.target} {f'{fault.seconds:g} s' if fault.seconds else ''}")
        return True

    def _later(self, seconds: float, end: Callable[[], None], where: str = "") -> bool:
        """Have something end in a while; `where` can't be broken anew until then."""

        def over() -> None:
            self._busy.discard(where)
            end()

        if where:
            self._busy.add(where)
        heapq.heappush(self._ends, (time.monotonic() + seconds, self._rng.getrandbits(60), over))
        return True

    # Processes ----------------------------------------------------------------------------------

    def _hit(self, fault: Fault) -> bool:
        """Kill a process, tell it where to die, or stop it in its tracks, if now is the moment."""
        process = self._stage.processes[fault.target]
        if fault.target in self._busy or fault.target in self._armed:
            return False
        late = time.monotonic() - self._due[fault] > IN_WORK_WAIT_S
        if fault.how == "starting":
            # The process's next kill brings a start about; at the end of the stream none comes.
            now = process.state == "starting" or (late and process.state == "ready")
        elif process.state != "ready" or self._recovering(process):
            now = False
        else:
            now = fault.kind == "aimed" or late or self._in_work(process)
        if now:
            aimed = fault.kind != "kill" and fault.how
            hit = self._arm if aimed else self._kill if fault.kind == "kill" else self._pause
            hit(fault)
        return now

    def _recovering(self, process: Process) -> bool:
        return any(kill.recovery_s is None and kill.target == process.name for kill in self.kills)

    def _arm(self, fault: Fault) -> None:
        dies = fault.kind == "aimed"
        orders = Orders(die_at=fault.how) if dies else Orders(stop_at=fault.how)
        self._stage.processes[fault.target].order(orders)
        self._armed[fault.target] = (fault, time.monotonic() + AIMED_WAIT_S)

    def _pause(self, fault: Fault) -> None:
        process = self._stage.processes[fault.target]
        process.pause()
        self.by_kind["zombie"] += 1
        self._say(f"zombie {fault.target} {fault.how} {fault.seconds:g} s")
        self._later(fault.seconds, process.resume, fault.target)

    def _kill(self, fault: Fault) -> None:
        process = self._stage.processes[fault.target]
        in_work = process.state == "ready" and self._in_work(process)
        process.kill()
        self._killed(fault._replace(kind="kill"), in_work=in_work)

    def _killed(self, fault: Fault, *, in_work: bool) -> None:
        self.kills.append(Kill(fault.target, fault.how, in_work))
        self.by_kind[fault.kind] += 1
        self._say(f"killed {fault.target} {fault.how}{'' if in_work else ' (not in work)'}")

    def _in_work(self, process: Process) -> bool:
        """Whether records that were sent to its partitions are not committed: they are in hand."""
        places = self._stage.watch.assigned(process.role, process.name)
        sample = self._stage.watch.look()
        return sample is not None and sample.lag(process.role, places) > 0

    def _measure_recovery(self) -> None:
        if self.sample is None:
            return
        for kill in self.kills:
            process = self._stage.processes[kill.target]
            if kill.recovery_s is not None or process.state != "ready":
                continue
            if process.ready_since_s > self.sample.at_s:
                continue
            progress = self.sample.progress(process.role)
            if kill.baseline is None:
                kill.baseline = progress
            elif progress > kill.baseline or not self.sample.lag(process.role):
                kill.recovery_s = self.sample.at_s - kill.at_s

    def _add_worker(self, fault: Fault) -> bool:
        self._stage.extra.start()
        return self._later(fault.seconds, self._stage.extra.leave, "worker")

    def _remove_worker(self, fault: Fault) -> bool:
        process = self._stage.processes[fault.target]
        process.leave()

        def back() -> None:
            if process.state == "away":
                process.start()
            else:
                self._later(1.0, back, fault.target)

        return self._later(fault.seconds, back, fault.target)

    def _jump(self, fault: Fault) -> bool:
        process = self._stage.processes[fault.target]
        process.order(Orders(clock_ms=self._rng.choice(JUMPS_MS)))
        return self._later(fault.seconds, lambda: process.order(Orders()), fault.target)

    def _fill_disk(self, fault: Fault) -> bool:
        disk = self._stage.disks[fault.target]
        if not disk.can_fill:
            self.skipped["disk-full"] += 1
            return True
        disk.fill()
        return self._later(fault.seconds, disk.free, fault.target)

    # What they stand on -------------------------------------------------------------------------

    def _kill_broker(self, fault: Fault) -> bool:
        cluster = self._stage.cluster
        if not cluster.whole():  # two copies gone would stop the stream, as they should
            return False
        broker = cluster.brokers[int(fault.target) - 1]
        broker.kill()

        def back() -> None:
            broker.launch()
            self._later(1.0, wait, "broker")

        def wait() -> None:
            if not cluster.whole():
                self._later(1.0, wait, "broker")

        return self._later(fault.seconds, back, "broker")

    def _move_leaders(self, fault: Fault) -> bool:
        del fault
        topics = self._rng.sample(self._stage.topics, 3)
        try:
            return self._stage.cluster.whole() and bool(
                self._stage.cluster.move_leaders(topics, self._rng)
            )
        except KafkaError:
            return False

    def _kill_redis(self, fault: Fault) -> bool:
        self._stage.redis.kill(wipe=fault.kind == "redis-wiped")
        return self._later(fault.seconds, self._stage.redis.start, "redis")

    def _break_network(self, fault: Fault) -> bool:
        proxy = self._stage.cluster.proxy
        if fault.kind == "network-delay":
            proxy.set("open", self._rng.uniform(0.02, 0.2))
        else:
            proxy.set("held" if fault.kind == "network-hold" else "cut")
        return self._later(fault.seconds, lambda: proxy.set("open"), "network")
