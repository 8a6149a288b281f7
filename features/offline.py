"""Features as of any time, by Feast's offline store: a folder with its own registry and history.

The folder is a Feast repository. `history.parquet` holds a row of each user after each event
(`features.history`); Feast's point-in-time join finds, for a user and a time, the newest row that
isn't later. So a shop's own `feast` command can ask the same: `feast -c FOLDER ...`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from features.feast_import import light_imports
from features.store import UserFeatures

with light_imports():
    from feast import FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import PrimitiveFeastType

    from features.feature_repo.definitions import user, user_profile

HISTORY = "history.parquet"
VIEW = "user_history"

NOT_EXPORTED = frozenset({"recent_items", "recent_kinds", "recent_ts_ms", "recent_ratings", "seen"})
"""The history itself, whose rows would hold each event fifty times."""

_ROWS = 16_384
_LAST = 999
"""The last microsecond of a millisecond."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = pa.timestamp("us", tz="UTC")

_ARROW: dict[PrimitiveFeastType, pa.DataType] = {
    PrimitiveFeastType.STRING: pa.string(),
    PrimitiveFeastType.INT64: pa.int64(),
    PrimitiveFeastType.FLOAT64: pa.float64(),
    PrimitiveFeastType.FLOAT32: pa.float32(),
}


class At(NamedTuple):
    """Whose features are wanted, and as of when (milliseconds)."""

    user_id: str
    time_ms: int


def exported() -> list[Field]:
    """The features that are exported: of `user_profile`, all but the history itself."""
    return [field for field in user_profile.features if field.name not in NOT_EXPORTED]


class OfflineStore:
    """A folder with a history of features and Feast's registry over it.

    Parameters
    ----------
    folder
        Made if it isn't there; an older history in it is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.users: dict[str, int] = {}
        """Each user with rows, and the time of the first."""

    def write(self, rows: Iterable[UserFeatures]) -> int:
        """Write the history anew, tell Feast of it, and return how many rows it has."""
        schema, rows, written = _schema(), iter(rows), 0
        self.users, places = {}, _Places()
        with pq.ParquetWriter(self.folder / HISTORY, schema) as file:
            while some := list(islice(rows, _ROWS)):
                for row in some:
                    self.users.setdefault(row.user_id, row.updated_ms)
                file.write_table(_table(some, schema, places))
                written += len(some)
        self._apply()
        return written

    def as_of(self, wanted: Sequence[At]) -> pa.Table:
        """The features of users as of times, in that order; nulls where nothing was known yet.

        Columns are `user_id`, `as_of`, and the features.
        """
        names = [field.name for field in exported()]
        # Feast wants each once.
        places = {at: place for place, at in enumerate(dict.fromkeys(wanted))}
        asked = pa.table(
            {
                "user_id": pa.array([at.user_id for at in places], pa.string()),
                "event_timestamp": pa.array([_time(at.time_ms, _LAST) for at in places], _TIME),
                "place": pa.array(places.values(), pa.int64()),
            }
        )
        job = self._store().get_historical_features(
            entity_df=asked.to_pandas(), features=[f"{VIEW}:{name}" for name in names]
        )
        found = job.to_df().drop_duplicates("place")
        # Feast leaves out who has rows, but none so early.
        row_of = {int(place): row for row, place in enumerate(found["place"])}
        rows = pa.array([row_of.get(places[at]) for at in wanted], pa.int64())
        known = pa.table(
            {name: pa.array(_plain(found[name]), _schema().field(name).type) for name in names}
        ).take(rows)
        asked = asked.take(pa.array([places[at] for at in wanted], pa.int64()))
        times = pa.array([_time(at.time_ms) for at in wanted], _TIME)
        columns = [asked["user_id"], times, *known.columns]
        return pa.table(columns, names=["user_id", "as_of", *names])

    def _store(self) -> FeatureStore:
        return FeatureStore(config=RepoConfig(**self._settings(), repo_path=self.folder))

    def _settings(self) -> dict[str, Any]:
        return {
            "project": "tidemill_export",
            "provider": "local",
            "registry": str(self.folder / "registry.db"),
            "offline_store": {"type": "dask"},
            "entity_key_serialization_version": 3,
        }

    def _apply(self) -> None:
        (self.folder / "feature_store.yaml").write_text(json.dumps(self._settings(), indent=2))
        source = FileSource(
            name="user_history_rows",
            path=str(self.folder / HISTORY),
            timestamp_field="updated_at",
            description="A row of each user after each event",
        )
        view = FeatureView(
            name=VIEW,
            entities=[user],
            ttl=timedelta(0),
            source=source,
            online=False,
            schema=[field for field in user_profile.schema if field.name not in NOT_EXPORTED],
            description="What was known of a user, from the time of each event on",
        )
        self._store().apply([user, view])


class _Places:
    """Microseconds that tell a user's rows of one millisecond apart: Feast takes the latest row."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def of(self, row: UserFeatures) -> int:
        """How many rows of the user had the same time before."""
        time_ms, place = self._last.get(row.user_id, (-1, 0))
        place = min(place + 1, _LAST) if time_ms == row.updated_ms else 0
        self._last[row.user_id] = row.updated_ms, place
        return place


def _schema() -> pa.Schema:
    columns = [("user_id", pa.string()), ("updated_at", _TIME)]
    for field in exported():
        base = getattr(field.dtype, "base_type", None)
        kind = pa.list_(_ARROW[base]) if base is not None else _ARROW[field.dtype]
        columns.append((field.name, kind))
    return pa.schema(columns)


def _table(rows: Sequence[UserFeatures], schema: pa.Schema, places: _Places) -> pa.Table:
    columns: dict[str, Any] = {
        "updated_at": [_time(row.updated_ms, places.of(row)) for row in rows],
    }
    for name in schema.names:
        if name not in columns:
            columns[name] = [getattr(row, name) for row in rows]
    return pa.table(columns, schema=schema)


def _time(time_ms: int, us: int = 0) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms, microseconds=us)


def _plain(column: Any) -> list[Any]:
    """Pandas' values without its ways of saying that there is none."""
    return [
        value.tolist()
        if hasattr(value, "tolist")
        else (None if value is None or value != value else value)  # noqa: PLR0124 - not a number
        for value in column
    ]
