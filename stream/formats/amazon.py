"""Amazon Reviews as published in 2014, 2018 and 2023, one JSON object a line.

2014 and 2018 (https://jmcauley.ucsd.edu/data/amazon/, .../amazon_v2/): `reviewerID`, `asin`,
`overall`, `reviewText`, `summary`, `unixReviewTime` in seconds; metadata in `meta_*.json.gz`, whose
lines of 2014 are Python literals. 2023 (https://amazon-reviews-2023.github.io): `user_id`,
`parent_asin`, `rating`, `text`, `title`, `timestamp` in milliseconds; `meta_*.jsonl.gz`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from stream.events import Item
from stream.formats.files import as_number, json_lines, stem
from stream.formats.log import Row, to_batches


class _Review2018(msgspec.Struct):
    reviewerID: str
    asin: str
    unixReviewTime: int
    overall: float | None = None
    reviewText: str | None = None
    summary: str | None = None


class _Review2023(msgspec.Struct):
    user_id: str
    parent_asin: str
    timestamp: int
    rating: float | None = None
    text: str | None = None
    title: str | None = None


class AmazonLog:
    """One file of reviews, and the file of metadata that belongs to it."""

    ordered = False

    def __init__(self, reviews: Path, meta: Path | None, year: int) -> None:
        self._reviews, self._meta = reviews, meta
        self._is_2023 = year >= 2023  # noqa: PLR2004 - the year is the format's name
        self.name = stem(reviews)
        self.format = "Amazon Reviews 2023" if self._is_2023 else "Amazon Reviews 2014/2018"

    def items(self) -> Iterator[Item]:
        """The metadata file's products."""
        if self._meta is not None:
            for row in json_lines(self._meta, _decode_loosely):
                if item_id := row.get("parent_asin") or row.get("asin"):
                    yield _item(str(item_id), row)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The reviews."""
        return to_batches(self._rows_2023() if self._is_2023 else self._rows_2018())

    def _rows_2018(self) -> Iterator[Row]:
        for review in json_lines(self._reviews, msgspec.json.Decoder(_Review2018).decode):
            yield Row(
                review.unixReviewTime * 1000,
                review.reviewerID,
                review.asin,
                "review",
                review.overall,
                review.summary,
                review.reviewText,
            )

    def _rows_2023(self) -> Iterator[Row]:
        for review in json_lines(self._reviews, msgspec.json.Decoder(_Review2023).decode):
            yield Row(
                review.timestamp,
                review.user_id,
                review.parent_asin,
                "review",
                review.rating,
                review.title,
                review.text,
            )


def _decode_loosely(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        found = ast.literal_eval(line.decode())
    if not isinstance(found, dict):
        msg = "not an object"
        raise ValueError(msg)
    return found


def _item(item_id: str, row: dict[str, Any]) -> Item:
    return Item(
        item_id=item_id,
        title=_text(row.get("title")),
        description=_text(row.get("description")),
        category=_category(row),
        brand=_text(row.get("brand") or row.get("store")),
        price=as_number(row.get("price")),
    )


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(_text(part) for part in value)
    return value.strip() if isinstance(value, str) else ""


def _category(row: dict[str, Any]) -> tuple[str, ...]:
    """2014: a list of paths; 2018: one path; 2023: one path, or the main category alone."""
    levels = row.get("categories") or row.get("category") or row.get("main_category") or []
    if isinstance(levels, str):
        return (levels,)
    if levels and isinstance(levels[0], list):
        levels = levels[0]
    return tuple(_text(level) for level in levels if _text(level))[:16]
