"""Keep what this release leaves behind: `python -m tests.releases.keep 0.1.0`.

Run it with the release's own code, once, when it is made. A small shop is played to the roles; then
the learner and serving stop, more is played, and what nobody has read yet is left in the topics: an
upgrade finds records of the older release on every topic.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from kafka import KafkaProducer

from infra.broker import EmbeddedKafka
from infra.child import Child, worker_command
from infra.lag import lag
from infra.roles import ROLES
from infra.settings import Settings
from infra.supervise import child_environment
from infra.topic_admin import create_topics
from stream.connect import KafkaConfig
from stream.shop import Shop, ShopConfig
from tests.releases.left import FOLDER, pack, take_out

WAIT_S = 180.0
FOLDERS = ("state", "models", "features")
SHOP = ShopConfig(items=80, shoppers=40)
SMALL: dict[str, object] = {
    "learner.publish_every_s": 2.0,
    "learner.keep": 1,
    "learner.model.width": 16,
    "learner.model.layers": 1,
    "learner.train.replay_size": 256,
    "kafka.partitions": 2,
}


def wait_for(done: Callable[[], bool], what: str) -> None:
    """Wait for something to come true."""
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline_s, f"{what} did not happen in {WAIT_S:g} s"
        time.sleep(0.2)


def small_settings(bootstrap: str, data_dir: Path) -> Settings:
    """Settings of a stack on a broker that runs; the same when the archive is read."""
    values = {"kafka.bootstrap_servers": bootstrap, "run.data_dir": str(data_dir), **SMALL}
    values |= {f"metrics.{role.replace('-', '_')}": 0 for role in ROLES}
    return Settings.load(environ={}).with_values(values, "the test")


def child(role: str, settings: Settings, data_dir: Path) -> Child:
    """A role's process, started."""
    made = Child(
        role, data_dir, child_environment(role, settings, os.environ), worker_command(role)
    )
    made.start()
    return made


def play(kafka: KafkaConfig, shop: Shop, steps: int, *, items: bool = False) -> None:
    """Send what happens in the shop next."""
    producer = KafkaProducer(**kafka.client_settings(), acks="all")
    happened = list(islice(shop.records(), steps))
    for record in [*(shop.item_records() if items else ()), *happened]:
        producer.send(f"{kafka.topic_prefix}{record.topic_kind}", record.value, record.key)
    producer.flush(60)
    producer.close()


def main(release: str) -> None:
    """Play, stop, pack."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        with EmbeddedKafka(Path(folder) / "broker") as broker:
            settings = small_settings(broker.bootstrap_servers, data_dir)
            kafka = settings.section(KafkaConfig)
            create_topics(kafka)
            roles = {role: child(role, settings, data_dir) for role in ROLES}
            wait_for(lambda: all(role.ready() for role in roles.values()), "the start")
            shop = Shop(seed=11, config=SHOP)
            play(kafka, shop, 300, items=True)
            wait_for(lambda: not any(lag(kafka).values()), "reading to the end")
            stop(roles, "serving", "learner")
            play(kafka, shop, 80)
            wait_for(lambda: not lag(kafka)["ingest-profile", "events"], "the profile's end")
            stop(roles, "ingest-profile")
            play(kafka, shop, 80)
            changelog = {"cleanup.policy": "compact"}
            name = f"{kafka.topic_prefix}ingest-profile-profiles-changelog"
            left = take_out(kafka, changelogs={name: changelog})
        pack(FOLDER / f"{release}.tar.xz", left, data_dir, FOLDERS)


def stop(roles: dict[str, Child], *names: str) -> None:
    """Ask roles to end, and see that they do."""
    for name in names:
        roles[name].ask_to_stop()
        assert roles[name].end(60), f"{name} had to be killed: {roles[name].last_line()}"


if __name__ == "__main__":
    main(sys.argv[1])
