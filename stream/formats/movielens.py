"""MovieLens (https://grouplens.org/datasets/movielens/): 100k, 1M, 10M, 20M and later.

`u.data` with `u.item` (tabs, bars, latin-1), `ratings.dat` with `movies.dat` (double colons), or
`ratings.csv` with `movies.csv`. Ratings below one star count as one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from stream.errors import SettingsError
from stream.events import Item
from stream.formats.files import lines, stem
from stream.formats.log import Row, to_batches

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
"""The columns of flags in `u.item`, after its first five."""

MOVIES_OF = {"u.data": "u.item", "ratings.dat": "movies.dat", "ratings.csv": "movies.csv"}


class MovieLensLog:
    """One file of ratings, and the file of movies beside it."""

    format = "MovieLens"
    ordered = False

    def __init__(self, ratings: Path) -> None:
        plain = ratings.name.removesuffix(".gz")
        beside = [ratings.with_name(MOVIES_OF[plain] + end) for end in ("", ".gz")]
        self._ratings = ratings
        self._movies = next((path for path in beside if path.exists()), None)
        self._split = plain.rsplit(".", 1)[1]
        self.name = f"movielens-{stem(ratings.absolute().parent)}"

    def items(self) -> Iterator[Item]:
        """The movies: the genre is the category, the year stays in the title."""
        if self._movies is None:
            return
        encoding = "utf-8" if self._split == "csv" else "latin-1"
        text = lines(self._movies, encoding)
        rows = csv.reader(text) if self._split == "csv" else (_cut(line) for line in text)
        for row in rows:
            if row[0] != "movieId":
                yield Item(item_id=row[0], title=row[1], category=_genre(row))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The ratings, as reviews without text."""
        return to_batches(self._rows())

    def _rows(self) -> Iterator[Row]:
        mark = {"data": "\t", "dat": "::", "csv": ","}[self._split]
        for at, line in enumerate(lines(self._ratings), start=1):
            if at == 1 and line.startswith("userId"):
                continue
            try:
                user_id, item_id, rating, seconds = line.split(mark)
                stars, ts_ms = max(1.0, float(rating)), int(seconds) * 1000
            except ValueError:
                msg = (
                    f"{self._ratings}, line {at}: not user, movie, rating and time: {line[:100]!r}"
                )
                raise SettingsError(msg) from None
            yield Row(ts_ms, user_id, item_id, "review", stars)


def _cut(line: str) -> list[str]:
    return line.split("::") if "::" in line else line.split("|")


def _genre(row: list[str]) -> tuple[str, ...]:
    """`u.item` has a flag per genre, the others have names between bars; the first one counts."""
    flags = row[5:]
    if flags:
        return next(((g,) for g, flag in zip(GENRES, flags, strict=False) if flag == "1"), ())
    names = row[2].split("|") if len(row) > 2 else []  # noqa: PLR2004 - id, title, genres
    return (names[0],) if names and names[0] != "(no genres listed)" else ()
