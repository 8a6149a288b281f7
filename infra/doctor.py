"""Checks of a machine before or while the stack runs, each with what to do about it."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil

from infra.broker import HOST, MIN_FREE_MB
from infra.broker_hashes import SHA256
from infra.broker_jars import KAFKA_VERSION, user_cache
from infra.broker_java import find_java
from infra.config import BrokerConfig, MetricsConfig, RunConfig
from infra.roles import ROLES, SUPERVISOR, role_file
from infra.settings import DEFAULT, Settings
from stream.connect import KafkaConfig
from stream.errors import TidemillError
from stream.topics import SPECS

Verdict = Literal["good", "note", "wrong"]

NEEDED_MB = 3_000
"""Kafka 0.7 GB, the three roles 0.5 to 0.8 GB each."""

SKEW_LIMIT_MS = 5_000
"""Ages of events are differences between two machines' clocks: beyond this they mislead."""


class Finding(NamedTuple):
    """What a check saw; `remedy` is empty where all is well."""

    what: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Run one check after the other; one that fails in itself is a finding too."""
    for name, check in _CHECKS.items():
        try:
            yield from (Finding(name, *seen) for seen in check(settings))
        except TidemillError as error:
            yield Finding(name, "wrong", str(error))
        except Exception as error:  # noqa: BLE001 - a doctor survives what it finds
            yield Finding(name, "wrong", f"{type(error).__name__}: {error}")


_Seen = tuple[Verdict, str] | tuple[Verdict, str, str]


def _broker(settings: Settings) -> list[_Seen]:
    kafka = settings.section(KafkaConfig)
    if _listens(kafka.servers[0]):
        return [_topics(kafka)]
    if settings.origin("kafka.bootstrap_servers") != DEFAULT:
        found = f"nothing listens at {kafka.bootstrap_servers}"
        return [("wrong", found, "start that cluster, or correct kafka.bootstrap_servers")]
    home = user_cache() / f"kafka-{KAFKA_VERSION}"
    if all((home / name).is_file() for name in SHA256):
        return [("good", f"none runs; `tidemill up` starts Kafka {KAFKA_VERSION} from {home}")]
    found = f"none runs, and Kafka {KAFKA_VERSION} is not in {home} yet"
    return [("note", found, "the first `tidemill up` fetches it (44 MB): be online then")]


def _topics(kafka: KafkaConfig) -> _Seen:
    from infra.topic_admin import describe_topics

    states = describe_topics(kafka)
    found = f"{kafka.bootstrap_servers} answers; {len(states)} topics {kafka.topic_prefix}*"
    other = [state.name for state in states if state.partitions != kafka.partitions]
    if other:
        found = f"{', '.join(other)}: not the {kafka.partitions} partitions of kafka.partitions"
        return ("wrong", found, "set kafka.partitions to what the topics have")
    if len(states) < len(SPECS):
        return ("note", f"{found} of {len(SPECS)}", "create them: tidemill topics create")
    return ("good", found)


def _java(settings: Settings) -> list[_Seen]:
    chosen = settings.section(BrokerConfig).java
    java = Path(chosen) if chosen else find_java()
    if not java.is_file():
        return [("wrong", f"broker.java names {java}, which isn't there", "correct or unset it")]
    return [("good", str(java))]


def _store(settings: Settings) -> list[_Seen]:
    from features.store_feast import FeastStore
    from infra.wiring import store_config

    config = store_config(settings)
    store = FeastStore(config)
    try:
        store.read(["nobody"])
    finally:
        store.close()
    where = f"Redis {config.redis.partition(',')[0]}" if config.redis else config.directory
    return [("good", f"answers: {where}")]


def _encoder(settings: Settings) -> list[_Seen]:
    from learner.config import LearnerConfig
    from learner.encoder import TextEncoder

    config = settings.section(LearnerConfig).encoder
    start_s = time.perf_counter()
    TextEncoder(config).encode(["a red tea pot"])
    seconds = time.perf_counter() - start_s
    return [("good", f"{config.model}, {config.width} wide, loaded in {seconds:.1f} s")]


def _memory(_: Settings) -> list[_Seen]:
    free_mb = psutil.virtual_memory().available // 1_000_000
    if free_mb < NEEDED_MB:
        return [("wrong", f"{free_mb} MB free", f"the stack wants {NEEDED_MB} MB: end something")]
    return [("good", f"{free_mb} MB free")]


def _disk(settings: Settings) -> list[_Seen]:
    folder = Path(settings.section(RunConfig).data_dir).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < MIN_FREE_MB:
        remedy = f"Kafka wants {MIN_FREE_MB} MB: free some, or choose another --data-dir"
        return [("wrong", f"{free_mb} MB free for {folder}", remedy)]
    return [("good", f"{free_mb} MB free for {folder}")]


def _ports(settings: Settings) -> list[_Seen]:
    running = role_file(Path(settings.section(RunConfig).data_dir), SUPERVISOR).exists()
    if running:
        return [("good", "a stack of this data folder is running")]
    metrics = settings.section(MetricsConfig)
    ports = {
        f"metrics.{role.replace('-', '_')}": getattr(metrics, role.replace("-", "_"))
        for role in (SUPERVISOR, *ROLES)
    }
    if settings.origin("kafka.bootstrap_servers") == DEFAULT:
        ports["broker.port"] = settings.section(BrokerConfig).port
    taken = [f"{key}={port}" for key, port in ports.items() if port > 0 and not _free(port)]
    if taken:
        return [("note", f"taken: {', '.join(taken)}", "choose others with --set KEY=PORT")]
    return [("good", f"free: {', '.join(str(port) for port in ports.values())}")]


def _clock(settings: Settings) -> list[_Seen]:
    kafka = settings.section(KafkaConfig)
    if not _listens(kafka.servers[0]):
        return [("note", "no broker to compare with")]
    skew_ms = broker_skew_ms(kafka)
    if abs(skew_ms) > SKEW_LIMIT_MS:
        remedy = "let both machines follow a time server"
        return [("wrong", f"the broker's clock is {skew_ms / 1000:+.1f} s from this one", remedy)]
    return [("good", f"{skew_ms:+.0f} ms from the broker's")]


def broker_skew_ms(kafka: KafkaConfig) -> float:
    """How far the broker's clock is ahead of ours, to within half a round trip.

    A short-lived topic, whose records are stamped by the broker, tells its time.
    """
    from kafka import KafkaProducer

    from infra.topic_admin import connect

    topic = f"{kafka.topic_prefix}clock-check"
    shape = {"configs": {"message.timestamp.type": "LogAppendTime"}}
    with connect(kafka) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, **shape}})
        try:
            admin.wait_for_topics([topic])
            producer: Any = KafkaProducer(**kafka.client_settings(), acks="all")
            try:
                producer.send(topic, b"warm").get(timeout=10)
                before_ms = time.time() * 1000
                stamped_ms = float(producer.send(topic, b"now").get(timeout=10).timestamp)
                after_ms = time.time() * 1000
            finally:
                producer.close()
        finally:
            admin.delete_topics([topic])
    return stamped_ms - (before_ms + after_ms) / 2


def _gpu(settings: Settings) -> list[_Seen]:
    import torch

    from learner.config import LearnerConfig

    device = settings.section(LearnerConfig).device
    if torch.cuda.is_available():
        return [("good", f"{torch.cuda.get_device_name(0)}; learner.device is {device}")]
    if device == "cuda":
        remedy = "install a driver, or set learner.device to auto"
        return [("wrong", "learner.device is cuda, and there is none", remedy)]
    return [("good", "none; the learner runs on the CPU")]


def _listens(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


_CHECKS: dict[str, Callable[[Settings], list[_Seen]]] = {
    "java": _java,
    "kafka": _broker,
    "clock": _clock,
    "ports": _ports,
    "memory": _memory,
    "disk": _disk,
    "online store": _store,
    "text encoder": _encoder,
    "GPU": _gpu,
}
