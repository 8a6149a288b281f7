"""The whole stack on one machine: broker, topics, one process per role, watched and restarted.

Starting, in the order in which an event flows:

1. the data folder is locked (and cleared, with `fresh`);
2. the embedded broker starts, or a given cluster is asked;
3. topics are created;
4. the roles start, and are waited for until each is at work.

Stopping runs backwards: serving, learner, ingest and profile are asked to finish, one after the
other, so that nobody is fed while it leaves; then the broker. What doesn't end in time is killed.
Every process is tied to this one: if this one is killed, the kernel ends them all.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from features.outcomes import OutcomesConfig
from infra.broker import EmbeddedKafka
from infra.child import Child, worker_command
from infra.config import BrokerConfig, MetricsConfig, RunConfig, SuperviseConfig
from infra.data_dir import DataDir
from infra.exposition import Exposition
from infra.lag import lag
from infra.restarts import RestartPolicy
from infra.roles import ROLES, SUPERVISOR
from infra.settings import PREFIX, Settings
from infra.topic_admin import create_topics
from stream.clock import Clock, SystemClock
from stream.connect import KafkaConfig
from stream.errors import Halt, Unavailable
from stream.metrics import CONSUMER_LAG, ROLE_RESTARTS

_log = logging.getLogger(__name__)

LOOK_S = 0.2
"""Pause between two looks at the processes: what a crash adds to its restart."""

BROKER = "broker"

State = Literal["starting", "ready", "restarting", "stopped"]


class RoleStatus(NamedTuple):
    """A process as people and screens want to know it."""

    name: str
    state: State
    pid: int | None
    restarts: int
    reason: str
    metrics_url: str


class _Watched:
    """A role's process, with what the watching thread knows of it."""

    def __init__(self, child: Child, policy: RestartPolicy) -> None:
        self.child = child
        self.policy = policy
        self.state: State = "starting"
        self.since_s = 0.0
        self.due_s = 0.0
        self.restarts = 0
        self.reason = ""


class Supervisor:
    """Starts, watches and stops the stack; a context manager.

    Parameters
    ----------
    settings
        All settings; `kafka.bootstrap_servers` is used only if the broker is not embedded.
    embedded
        Whether to run a broker of our own.
    fresh
        Whether to begin with an empty data folder.
    say
        Told in words what happens: starts, crashes with their reason, restarts.
    asked
        Set it to end a start early, from a signal: `start` returns, and `stop` is to be called.
    clock
        Measures waits.
    command
        What to run for a role.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        embedded: bool = True,
        fresh: bool = False,
        say: Callable[[str], None] = _log.info,
        asked: threading.Event | None = None,
        clock: Clock | None = None,
        command: Callable[[str], Sequence[str]] = worker_command,
    ) -> None:
        self.settings = settings
        self.config = settings.section(SuperviseConfig)
        self.broker: EmbeddedKafka | None = None
        self.failure: Halt | None = None
        self.lag: dict[tuple[str, str], int] = {}
        self._embedded = embedded
        self._fresh = fresh
        self._say = say
        self._clock = clock or SystemClock()
        self._command = command
        self._asked = asked or threading.Event()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._roles: list[_Watched] = []
        self._threads: list[threading.Thread] = []
        self._folder: DataDir | None = None
        self._metrics: Exposition | None = None
        self._broker_policy = RestartPolicy(BROKER, self.config, self._clock)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def kafka(self) -> KafkaConfig:
        """Where the stack's broker is, once it has started."""
        return self.settings.section(KafkaConfig)

    @property
    def metrics_url(self) -> str:
        """Where the supervisor's own metrics are."""
        return self._metrics.url if self._metrics is not None else ""

    def status(self) -> list[RoleStatus]:
        """Every role's process, in the order of starting."""
        return [
            RoleStatus(
                role.child.role,
                role.state,
                role.child.pid if role.state in ("starting", "ready") else None,
                role.restarts,
                role.reason,
                role.child.metrics_url(),
            )
            for role in self._roles
        ]

    def start(self) -> None:
        """Start everything, and return once every role is at work.

        Raises
        ------
        Halt
            If anything can't start; what had started is stopped again.
        """
        try:
            # 1. The folder.
            self._folder = DataDir(Path(self.settings.section(RunConfig).data_dir))
            self.settings = self.settings.with_values(
                {"run.data_dir": str(self._folder.path)}, "the supervisor"
            )
            if self._fresh:
                self._clear(self._folder)
            self._metrics = Exposition(SUPERVISOR, self.settings)
            # 2. The broker. 3. The topics.
            if self._embedded:
                self._start_broker(self._folder.path)
            try:
                create_topics(self.kafka)
            except Unavailable as error:
                raise Halt(str(error)) from error
            # 4. The roles. One thread starts, watches and ends them, because the kernel ties a
            # process to the thread that started it.
            self._roles = [self._watched(role, self._folder.path) for role in ROLES]
            for target in (self._watch, self._measure_lag):
                thread = threading.Thread(target=target, name=target.__name__, daemon=True)
                self._threads.append(thread)
                thread.start()
            while not self._ready.wait(LOOK_S) and not self._asked.is_set():
                pass
            self.check()
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise what has stopped the stack, if anything has."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Stop everything in order; may be called again."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self.broker is not None:
            self.broker.stop()
        if self._metrics is not None:
            self._metrics.close()
        if self._folder is not None:
            self._folder.close()

    def hurry(self) -> None:
        """Shorten a stop in progress: kill whatever is still there."""
        for role in self._roles:
            role.child.kill()
        if self.broker is not None:
            self.broker.kill()

    def _clear(self, folder: DataDir) -> None:
        if not self._embedded:
            msg = (
                "--fresh would remove our states but not the topics of another cluster: choose a "
                "new kafka.topic_prefix instead"
            )
            raise Halt(msg)
        folder.clear()

    def _start_broker(self, folder: Path) -> None:
        config = self.settings.section(BrokerConfig)
        self.broker = EmbeddedKafka(
            folder / BROKER,
            config.port,
            heap_mb=config.heap_mb,
            java=Path(config.java) if config.java else None,
        )
        self._say("starting Kafka")
        self._broker_policy.started()
        servers = self.broker.start()
        self._broker_policy.ready()
        self.settings = self.settings.with_values(
            {
                "kafka.bootstrap_servers": servers,
                "kafka.tls": False,  # It has neither, and listens on this machine only.
                "kafka.sasl_mechanism": "",
            },
            "the embedded broker",
        )

    def _watched(self, role: str, folder: Path) -> _Watched:
        environ = child_environment(role, self.settings, os.environ)
        metrics = self.settings.section(MetricsConfig)
        child = Child(role, folder, environ, self._command(role), metrics)
        return _Watched(child, RestartPolicy(role, self.config, self._clock))

    def _watch(self) -> None:
        """The thread that owns the processes."""
        try:
            for role in self._roles:
                self._begin(role)
            while not self._stop.wait(LOOK_S):
                self._look_at_broker()
                for role in self._roles:
                    self._look_at(role)
                if all(role.state == "ready" for role in self._roles):
                    self._ready.set()
        except Halt as error:
            self.failure = error
        except Exception as error:
            _log.exception("the supervisor itself failed")
            self.failure = Halt(f"the supervisor failed: {error!r}; see its log")
        finally:
            self._end_roles()
            self._ready.set()

    def _begin(self, role: _Watched) -> None:
        self._say(f"starting {role.child.role}")
        role.child.start()
        role.policy.started()
        role.state, role.since_s = "starting", self._clock.monotonic_s()

    def _look_at(self, role: _Watched) -> None:
        child, now_s = role.child, self._clock.monotonic_s()
        if role.state == "restarting":
            if now_s >= role.due_s:
                self._begin(role)
            return
        code = child.exit_code()
        if code is None and role.state == "starting":
            if child.ready():
                role.state = "ready"
                role.policy.ready()
                self._say(f"{child.role} is at work after {now_s - role.since_s:.1f} s")
            elif now_s - role.since_s > self.config.start_timeout_s:
                self._say(f"{child.role} was not at work in {self.config.start_timeout_s:g} s")
                child.kill()
            return
        if code is not None:
            reason = child.reason()
            child.end(0)
            wait_s = role.policy.ended(code, f"{reason}; all of it in {child.log_path}")
            role.state, role.due_s, role.reason = "restarting", now_s + wait_s, reason
            role.restarts += 1
            ROLE_RESTARTS.labels(role=child.role).inc()
            self._say(f"{child.role} ended ({reason}); started again in {wait_s:g} s")

    def _look_at_broker(self) -> None:
        if self.broker is None or self.broker.running:
            return
        wait_s = self._broker_policy.ended(-1, f"see {self.broker.log_path}")
        ROLE_RESTARTS.labels(role=BROKER).inc()
        self._say(f"Kafka ended; started again in {wait_s:g} s")
        if not self._stop.wait(wait_s):
            self._broker_policy.started()
            self.broker.start()
            self._broker_policy.ready()
            self._say("Kafka is back")

    def _end_roles(self) -> None:
        for role in reversed(self._roles):
            self._say(f"stopping {role.child.role}")
            role.child.ask_to_stop()
            if not role.child.end(self.config.stop_timeout_s):
                self._say(f"{role.child.role} did not end in time and was killed")
            role.state = "stopped"

    def _measure_lag(self) -> None:
        outcomes = self.settings.section(OutcomesConfig).on
        while not self._stop.wait(self.config.lag_every_s):
            for role in self._roles:
                role.child.trim_log()
            try:
                self.lag = lag(self.kafka, outcomes=outcomes)
            except Unavailable as error:
                _log.info("the lag is not known now: %s", error)
                continue
            except Halt as error:
                _log.warning("the lag is measured no more: %s", error)
                return
            for (group, topic), records in self.lag.items():
                CONSUMER_LAG.labels(role=group, topic=topic).set(records)


def child_environment(role: str, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a role's process: ours, with the settings as they are in force here."""
    kept = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    # The only worker of its role here keeps its name in the group: a restarted one takes its
    # partitions back at once instead of waiting for the session of the dead one to end.
    names = {f"{PREFIX}{section}_INSTANCE": f"{role}-0" for section in ("STREAM", "SERVING")}
    return {**kept, "TOKENIZERS_PARALLELISM": "false", **names, **settings.environment()}
