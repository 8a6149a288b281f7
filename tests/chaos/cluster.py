"""Three brokers of one KRaft cluster, each a Java process on this machine, each to be killed alone.

Every record lies on three brokers, and is acknowledged once two have it. A broker has three
listeners: one for clients, advertised at the proxy's port; one for the other brokers and for the
test itself, which no network fault touches; one for the controllers' quorum.
"""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from pathlib import Path
from random import Random, SystemRandom

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from infra.broker import HOST, EmbeddedKafka
from tests.chaos.proxy import Proxy

HEAP_MB = 256
"""The least that three brokers run well with; a fourth of it is free in a run of an hour."""

SETTLE_TIMEOUT_S = 60.0


class Cluster:
    """The brokers and the network before them; `start`, and `stop` at the end.

    Start it from a thread that lives as long as the brokers shall: they are tied to it.
    """

    def __init__(self, folder: Path, brokers: int = 3) -> None:
        ports = free_ports(3 * brokers)
        self._client, self._inner, quorum = (
            ports[n * brokers : (n + 1) * brokers] for n in range(3)
        )
        self.proxy = Proxy(self._client)
        voters = ",".join(f"{n + 1}@{HOST}:{port}" for n, port in enumerate(quorum))
        cluster_id = uuid.uuid4().hex[:22]
        copies, least = str(brokers), str(max(1, brokers - 1))
        advertised = self.proxy.start()
        self.brokers = [
            EmbeddedKafka(
                folder / f"broker-{n + 1}",
                self._client[n],
                heap_mb=HEAP_MB,
                cluster_id=cluster_id,
                settings={
                    "node.id": str(n + 1),
                    "controller.quorum.voters": voters,
                    "listeners": f"PLAINTEXT://{HOST}:{self._client[n]},"
                    f"INNER://{HOST}:{self._inner[n]},CONTROLLER://{HOST}:{quorum[n]}",
                    "advertised.listeners": f"PLAINTEXT://{HOST}:{advertised[n]},"
                    f"INNER://{HOST}:{self._inner[n]}",
                    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,"
                    "CONTROLLER:PLAINTEXT",
                    "inter.broker.listener.name": "INNER",
                    "default.replication.factor": copies,
                    "min.insync.replicas": least,
                    "offsets.topic.replication.factor": copies,
                    "transaction.state.log.replication.factor": copies,
                    "transaction.state.log.min.isr": least,
                    "share.coordinator.state.topic.replication.factor": copies,
                    "share.coordinator.state.topic.min.isr": least,
                    "unclean.leader.election.enable": "false",
                    "log.index.size.max.bytes": "1048576",
                },
            )
            for n in range(brokers)
        ]

    @property
    def for_clients(self) -> str:
        """The brokers through the proxy."""
        return ",".join(f"{HOST}:{port}" for port in self.proxy.ports)

    @property
    def for_us(self) -> str:
        """The brokers past the proxy: what is asked here is answered whatever the network does."""
        return ",".join(f"{HOST}:{port}" for port in self._inner)

    def start(self) -> None:
        """Start all brokers, and wait until each answers."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_until_ready()

    def stop(self) -> None:
        """Kill all brokers; nothing of them is wanted any more."""
        for broker in self.brokers:
            broker.kill()
        self.proxy.close()

    def whole(self) -> bool:
        """Whether every partition has all its copies in step: the next broker may go."""
        admin = KafkaAdminClient(bootstrap_servers=self.for_us)
        try:
            return all(
                len(partition["isr_nodes"]) == len(partition["replica_nodes"])
                for topic in admin.describe_topics()
                for partition in topic["partitions"]
            )
        except KafkaError:
            return False
        finally:
            admin.close()

    def wait_until_whole(self) -> None:
        """Wait for that."""
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        while not self.whole():
            assert time.monotonic() < deadline_s, "the brokers' copies never got in step"
            time.sleep(0.2)

    def move_leaders(self, topics: list[str], rng: Random) -> int:
        """Give each partition of some topics a new leader; returns how many moved."""
        admin = KafkaAdminClient(bootstrap_servers=self.for_us)
        try:
            wanted = {}
            for topic in admin.describe_topics(topics):
                for partition in topic["partitions"]:
                    others = [n for n in partition["replica_nodes"] if n != partition["leader_id"]]
                    if others:
                        leader = rng.choice(others)
                        rest = [n for n in partition["replica_nodes"] if n != leader]
                        place = TopicPartition(topic["name"], partition["partition_index"])
                        wanted[place] = [leader, *rest]
            admin.alter_partition_reassignments(wanted)
            chosen: dict[str, list[int]] = {}
            for place in wanted:
                chosen.setdefault(place.topic, []).append(place.partition)
            admin.elect_leaders(0, chosen, raise_errors=False)
            return len(wanted)
        finally:
            admin.close()


def free_ports(count: int) -> list[int]:
    """Ports that are free now, below those that the system gives to outgoing connections.

    So a port stays free while the broker behind it is dead.
    """
    found: list[int] = []
    for port in SystemRandom().sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    message = f"no {count} ports are free between 20000 and 32000"
    raise AssertionError(message)
