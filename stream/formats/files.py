"""Files as they are downloaded: plain or gzipped, lines of text or of JSON."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import msgspec

from stream.errors import SettingsError, shorten

T = TypeVar("T")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, gunzipped where its name ends in `.gz`."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def first_line(path: Path) -> bytes:
    """The first line, at most 64 kB of it; empty where there is none or it can't be read."""
    try:
        with open_bytes(path) as file:
            return file.readline(65_536).removeprefix(b"\xef\xbb\xbf").strip()
    except (OSError, EOFError):
        return b""


def lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a file, without their ends and without empty ones."""
    with open_bytes(path) as file:
        for line in file:
            if text := line.decode(encoding, "replace").strip("\r\n\ufeff"):
                yield text


def json_lines(path: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    """The decoded lines of a file.

    Raises
    ------
    SettingsError
        At the first line that isn't what the format says.
    """
    with open_bytes(path) as file:
        for at, line in enumerate(file, start=1):
            if line.isspace():
                continue
            try:
                yield decode(line)
            except (msgspec.MsgspecError, ValueError, SyntaxError) as error:
                msg = f"{path}, line {at}: {error}; the line is {shorten(line[:200])}"
                raise SettingsError(msg) from None


def stem(path: Path) -> str:
    """The name without its endings, fit to begin an id.

    >>> stem(Path("/data/reviews_Office_5.json.gz")), stem(Path("my log"))
    ('reviews_Office_5', 'my-log')
    """
    name = path.name.split(".")[0] or "log"
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:100]


def as_number(value: Any) -> float | None:
    """A price or rating as public files spell it; `None` where it is none.

    >>> as_number("$1,299.00"), as_number(3), as_number("from 5"), as_number(None)
    (1299.0, 3.0, None, None)
    """
    try:
        number = float(str(value).replace("$", "").replace(",", ""))
    except ValueError:
        return None
    return number if 0 <= number <= 1e9 else None  # noqa: PLR2004 - a price's bounds
