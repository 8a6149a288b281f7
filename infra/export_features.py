"""Features as of a time, in a folder that is a Feast repository: `tidemill export features`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from features.history import feature_history
from features.interest import InterestConfig
from features.offline import At, OfflineStore
from infra.export_source import Source
from stream.errors import SettingsError
from stream.tenants import plain

FEATURES = "features.parquet"


class Written(NamedTuple):
    """Rows of the history, users whose features were known, and rows of `features.parquet`."""

    history: int
    users: int
    rows: int


def export_features(
    source: Source,
    interest: InterestConfig,
    folder: Path,
    *,
    as_of_ms: int | None = None,
    wanted: Path | None = None,
) -> Written:
    """Write the history and the features as of a time, or as of many.

    Parameters
    ----------
    as_of_ms
        Every user who was known then is in the features.
    wanted
        A parquet file with the columns `user_id` and `as_of` (a time): a row for each, nulls where
        nothing was known of the user yet.
    """
    asked = None if wanted is None else _wanted(wanted)
    until_ms = as_of_ms
    if until_ms is None:
        until_ms = max((at.time_ms for at in asked or ()), default=0)
    store = OfflineStore(folder)
    rows = (
        replace(row, user_id=plain(row.user_id), last_event_id=plain(row.last_event_id))
        for row in feature_history(source.events, source.catalog, interest, until_ms)
    )
    history = store.write(rows)
    if asked is None:
        first_ms = store.users
        asked = [At(user_id, until_ms) for user_id in first_ms if first_ms[user_id] <= until_ms]
    table = store.as_of(asked)
    pq.write_table(table, folder / FEATURES)
    return Written(history, len(store.users), table.num_rows)


def _wanted(path: Path) -> list[At]:
    try:
        table = pq.read_table(path, columns=["user_id", "as_of"])
        times = table["as_of"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        msg = f"{path} must have the columns user_id and as_of, which is a time: {error}"
        raise SettingsError(msg) from error
    if table["user_id"].null_count or times.null_count:
        msg = f"{path} has rows without a user_id or an as_of: leave them out"
        raise SettingsError(msg)
    both = zip(table["user_id"].to_pylist(), times.to_pylist(), strict=True)
    return [At(str(user_id), time_us // 1000) for user_id, time_us in both]
