"""The settings of the online store, apart from it: reading them must not import Feast."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the online store keeps users' features."""

    directory: Annotated[
        str, Meta(min_length=1, description="folder of Feast's registry and of the SQLite file")
    ] = ".tidemill/features"
    redis: Annotated[
        str,
        Meta(
            description="host:port of a Redis, with options as in 'localhost:6379,db=1,ssl=true'; "
            "empty for SQLite in the folder"
        ),
    ] = ""
    redis_cluster: Annotated[
        bool, Meta(description="whether the Redis above is a Redis Cluster")
    ] = False
    project: Annotated[
        str, Meta(pattern="^[a-z][a-z0-9_]*$", description="Feast's name for this shop's features")
    ] = "tidemill"
    timeout_ms: Annotated[
        int, Meta(ge=1, description="how long a call waits for a locked file or a silent Redis")
    ] = 5_000
