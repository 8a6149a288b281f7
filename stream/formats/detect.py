"""Which format a log has: by the names of its files, and by its first line."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from stream.errors import SettingsError
from stream.formats.amazon import AmazonLog
from stream.formats.files import first_line
from stream.formats.log import Log, Source
from stream.formats.movielens import MOVIES_OF, MovieLensLog
from stream.formats.own import JsonLog, ParquetLog
from stream.formats.sessions import RetailRocketLog, YooChooseLog

KNOWN = """\
  Tidemill       events.parquet or events.jsonl(.gz), with items.parquet or items.jsonl(.gz)
  Amazon 2014/18 *.json(.gz) with reviewerID and asin; meta_*.json(.gz) beside it
  Amazon 2023    *.jsonl(.gz) with user_id and parent_asin; meta_*.jsonl(.gz) beside it
  MovieLens      u.data and u.item, ratings.dat and movies.dat, or ratings.csv and movies.csv
  RetailRocket   events.csv, and item_properties_part*.csv
  YooChoose      yoochoose-clicks.dat, yoochoose-buys.dat"""

JSON_NAME = re.compile(r".*\.(json|jsonl|ndjson)(\.gz)?")


def open_log(path: Path) -> Log:
    """Open a recorded log: a folder, or its file of events.

    Raises
    ------
    SettingsError
        If nothing is there, or nothing of a known format, or more than one log.
    """
    if not path.exists():
        msg = f"no recorded log at {path}: there is no such file or folder"
        raise SettingsError(msg)
    if path.is_file():
        source = _of_file(path)
        if source is None:
            msg = f"{path} has no format that Tidemill reads. It reads:\n{KNOWN}"
            raise SettingsError(msg)
        return Log(source)
    files = sorted(file for file in path.iterdir() if file.is_file())
    named = [file for file in files if not file.name.endswith(".parquet")]
    named += [file for file in files if file.name == "events.parquet"]
    found = _logs(named) or _logs(files)
    if not found:
        names = ", ".join(file.name for file in files[:8]) or "nothing"
        msg = f"{path} holds no log that Tidemill reads, but {names}. It reads:\n{KNOWN}"
        raise SettingsError(msg)
    if len(found) > 1:
        msg = f"{path} holds {len(found)} logs ({', '.join(sorted(found))}): name the file to read"
        raise SettingsError(msg)
    return Log(next(iter(found.values())))


def _logs(files: list[Path]) -> dict[str, Source]:
    """The logs among some files, by their names; files of one log come together."""
    found: dict[str, Source] = {}
    for file in files:
        source = _of_file(file)
        if source is not None:
            found.setdefault(source.name, source)
    return found


def _of_file(path: Path) -> Source | None:
    name = path.name.removesuffix(".gz")
    source: Source | None = None
    if name.startswith(("items.", "meta_")):
        pass
    elif name == "events.parquet":
        source = ParquetLog(path)
    elif name.endswith(".parquet"):
        source = _parquet_of_another_name(path)
    elif name in MOVIES_OF:
        source = MovieLensLog(path)
    elif name.startswith("yoochoose-") and name.endswith(".dat"):
        source = _yoochoose(path)
    elif name.endswith(".csv"):
        if first_line(path).startswith(b"timestamp,visitorid,event,itemid"):
            source = RetailRocketLog(path)
    elif JSON_NAME.fullmatch(path.name):
        source = _of_json(path)
    return source


def _parquet_of_another_name(path: Path) -> Source | None:
    try:
        return ParquetLog(path)
    except (SettingsError, OSError, ValueError):
        return None


def _of_json(path: Path) -> Source | None:
    try:
        fields = set(msgspec.json.decode(first_line(path), type=dict[str, object]))
    except msgspec.MsgspecError:
        return None
    if {"reviewerID", "asin", "unixReviewTime"} <= fields:
        return AmazonLog(path, _meta_beside(path), 2018)
    if {"user_id", "parent_asin", "timestamp"} <= fields:
        return AmazonLog(path, _meta_beside(path), 2023)
    if {"user_id", "item_id"} <= fields and {"ts_ms", "ts"} & fields:
        items = [p for p in sorted(path.parent.glob("items.*")) if JSON_NAME.fullmatch(p.name)]
        return JsonLog(path, items[0] if items else None)
    return None


def _meta_beside(reviews: Path) -> Path | None:
    """The metadata of the same products: `meta_Office.json.gz` for `reviews_Office_5.json.gz`."""
    subject = reviews.name.split(".")[0].removeprefix("reviews_").removesuffix("_5")
    files = [p for p in sorted(reviews.parent.glob("meta_*")) if JSON_NAME.fullmatch(p.name)]
    return next((p for p in files if p.name.split(".")[0] == f"meta_{subject}"), None)


def _yoochoose(path: Path) -> Source | None:
    of = {
        kind: next((p for p in sorted(path.parent.glob(f"yoochoose-{kind}.dat*"))), None)
        for kind in ("clicks", "buys")
    }
    if path not in of.values():
        return None
    return YooChooseLog(of["clicks"], of["buys"])
