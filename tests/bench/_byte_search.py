"""Looking for users' ids in every byte that a stack has written, and in what these decode to.

Ids are found by their form (`user_ids`), so that one pass finds all of them, however many.
Compressed batches hide them: segment files are read as Kafka's, record by record, those as well
whose records no consumer sees any more. So does RocksDB, which leaves out of a key what it shares
with the one before: an id counts as found by its last characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import redis
from kafka.record import MemoryRecords

ID = re.compile(rb"zq[0-9a-f]{32}")
"""No other word of the stack looks like this."""

_TAIL = re.compile(rb"[0-9a-f]{24}(?![0-9a-f])")
"""The end of an id: of thousands of random ones, no two share more than the first few."""

Found = dict[str, set[str]]
"""By id's end (`tail`), where it was found."""


def tail(user_id: str) -> str:
    """What of an id is looked for."""
    return user_id[-24:]


def user_ids(count: int, seed: int) -> list[str]:
    """Long random ids."""
    rng = Random(seed)
    return [f"zq{rng.getrandbits(128):032x}" for _ in range(count)]


def search_folder(folder: Path) -> tuple[Found, int]:
    """Every file below a folder, as it lies there, and segments also record by record."""
    found: Found = {}
    searched = 0
    for path in sorted(folder.rglob("*")):
        try:
            if not path.is_file():
                continue
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # deleted meanwhile, which is what is waited for
        searched += len(data)
        place = str(path.relative_to(folder))
        _note(found, place, [data])
        if ".log" in path.name and path.parent.parent.name == "records":
            _note(found, place, _records(data))
    return found, searched


def search_redis(client: redis.Redis) -> Found:
    """Every key, what it holds, and its dump."""
    found: Found = {}
    for key in client.scan_iter(count=1_000):
        held = [key, client.dump(key) or b""]
        if client.type(key) == b"hash":
            held += [part for pair in client.hgetall(key).items() for part in pair]
        _note(found, "redis", held)
    return found


def joined(*parts: Found) -> Found:
    """All places of all searches."""
    whole: Found = {}
    for part in parts:
        for user_id, places in part.items():
            whole.setdefault(user_id, set()).update(places)
    return whole


def _records(data: bytes) -> Iterator[bytes]:
    # A segment of a running broker may end in the middle of a batch, or in zeros.
    records = MemoryRecords(data)
    while records.has_next():
        batch = records.next_batch()
        if batch is None:
            return
        for record in batch:
            yield record.key or b""
            yield record.value or b""
            yield from (text or b"" for _, text in record.headers)


def _note(found: Found, place: str, parts: Iterable[bytes]) -> None:
    for part in parts:
        for word in (*_TAIL.findall(part), *ID.findall(part)):
            found.setdefault(tail(word.decode()), set()).add(place)
