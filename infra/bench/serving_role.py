"""The serving role as processes, over the big shop: broker, topics, store, version and all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator

from features.catalog import Catalog
from features.store_config import StoreConfig
from features.store_feast import FeastStore
from infra.bench.apart import Failed
from infra.bench.bar import Run
from infra.bench.big_shop import BigShop
from infra.bench.topic import broker, fill
from infra.child import Child, worker_command
from infra.settings import Settings
from infra.supervise import child_environment
from infra.topic_admin import create_topics
from serving.index import ItemIndex
from stream.connect import KafkaConfig
from stream.events import json_encode, msgpack_encode
from stream.outgoing import Outgoing

READY_S = 300.0
STOP_S = 30.0
ROWS_AT_ONCE = 500

COUNTED = 50_000
"""Events behind the version: the famous items' lists of neighbours are full."""


@contextlib.contextmanager
def serving(
    run: Run, shop: BigShop, workers: int = 1, **values: object
) -> Iterator[tuple[KafkaConfig, list[Child]]]:
    """Have the role at work, its catalogue read and its version in use.

    Parameters
    ----------
    run
        Where to work, and whom to tell.
    shop
        Catalogue, users and version.
    workers
        So many processes of the role share the partitions of the requests.
    values
        Settings, with `__` for the point.
    """
    data = run.folder / "data"
    with broker(run) as kafka:
        create_topics(kafka)
        asyncio.run(prepare(run, shop, kafka))
        common = {
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "kafka.topic_prefix": "",
            "metrics.serving": 0,
            "store.directory": str(data / "features"),
            **{path.replace("__", "."): value for path, value in values.items()},
        }
        roles: list[Child] = []
        try:
            for number in range(workers):
                own = data / f"worker-{number}"
                settings = Settings.load(environ={}).with_values(
                    {**common, "run.data_dir": str(own), "serving.instance": f"worker-{number}"},
                    "the bench",
                )
                environ = child_environment("serving", settings, os.environ)
                roles.append(Child("serving", own, environ, worker_command("serving")))
                roles[-1].start()
            for role in roles:
                _wait(role)
            run.say(f"{workers} serving {'process is' if workers == 1 else 'processes are'} ready")
            yield kafka, roles
        finally:
            for role in roles:
                role.ask_to_stop()
            for role in roles:
                role.end(STOP_S)


async def prepare(run: Run, shop: BigShop, kafka: KafkaConfig) -> None:
    """Fill `item-vectors`, the online store and `adapters`."""
    index = ItemIndex(Catalog(shop.width))
    items = list(shop.item_vectors())
    index.upsert(items)
    await fill(
        kafka,
        "item-vectors",
        (Outgoing(item.item_id.encode(), msgpack_encode(item)) for item in items),
    )
    run.say(f"{len(items):,} items are on their topic")
    data = run.folder / "data"
    store = FeastStore(StoreConfig(directory=str(data / "features")))
    rows = list(shop.features())
    for start in range(0, len(rows), ROWS_AT_ONCE):
        store.write(rows[start : start + ROWS_AT_ONCE])
    store.close()
    run.say(f"{len(rows):,} users are in the store")
    version = shop.version(index.catalog, data / "models" / "versions", min(COUNTED, shop.items))
    await fill(kafka, "adapters", [Outgoing(b"behaviour", json_encode(version))])
    run.say("the version is announced")


def _wait(role: Child) -> None:
    end_s = time.monotonic() + READY_S
    while not role.ready():
        if role.exit_code() is not None or time.monotonic() > end_s:
            message = f"the serving role is not ready: {role.reason()}"
            raise Failed(message)
        time.sleep(0.2)
