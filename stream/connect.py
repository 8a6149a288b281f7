"""How every client reaches Kafka: one struct, and its translation for each client library."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class KafkaConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, and what topics are called and cut into."""

    bootstrap_servers: Annotated[
        str, Meta(description="host:port of one or more brokers, comma separated")
    ] = "localhost:9092"
    topic_prefix: Annotated[str, Meta(description="put before every topic's name")] = "tidemill."
    partitions: Annotated[
        int, Meta(ge=1, le=1024, description="partitions of each topic: the limit of parallel work")
    ] = 4
    replication: Annotated[int, Meta(ge=1, le=7, description="copies of each partition")] = 1

    @property
    def servers(self) -> list[str]:
        """The brokers as a list."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    @property
    def faust_url(self) -> str:
        """The brokers as Faust's micro-batch transport takes them."""
        return ";".join(f"runs://{server}" for server in self.servers)

    def client_settings(self) -> dict[str, Any]:
        """Keyword arguments that kafka-python's and aiokafka's clients both take."""
        return {"bootstrap_servers": self.servers}
