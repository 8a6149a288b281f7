"""The pure parts of the profile's bench."""

from __future__ import annotations

from pathlib import Path

from infra.bench.bar import Run
from infra.bench.profile_shop import ProfileShop
from infra.bench.profile_store import frame_of, rows_of, sqlite_bars
from stream.shop import ShopConfig

SHOP = ProfileShop(300, ShopConfig(items=80, shoppers=40))


def test_the_log_is_split_by_user() -> None:
    partitions = SHOP.partitions(4)
    assert sum(map(len, partitions)) == len(SHOP.events) == 300
    users = [{event.user_id for event in part} for part in partitions]
    assert sum(map(len, users)) == len(set().union(*users))


def test_rows_come_in_batches_of_different_users() -> None:
    batches = list(rows_of(SHOP, 100))
    assert sum(map(len, batches)) == 100
    assert all(len({row.user_id for row in batch}) == len(batch) for batch in batches)
    assert "updated_ms" not in frame_of(batches[0]).columns


def test_both_ways_of_writing_are_measured(tmp_path: Path) -> None:
    (bar,) = sqlite_bars(Run(lambda _: None, tmp_path, size=0.01), SHOP)
    assert bar.name == "profile/feast-sqlite"
    assert bar.ratio is not None
    assert bar.ratio > 1
