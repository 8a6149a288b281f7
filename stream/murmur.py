"""Which partition a key belongs to, as Kafka's own clients compute it: one key, or many at once.

aiokafka's murmur2 is Python, byte by byte: ten microseconds a key, more than all else that ingest
does with an event. Remembering keys helps only a shop with few users.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from aiokafka.partitioner import murmur2

MANY = 256
"""Keys from which on arrays are quicker, whatever their lengths."""

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)
_R = np.uint32(24)


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2, as Kafka's own clients compute it.

    >>> [partition_of(key, 4) for key in (b"u1", b"u2", b"u3")]
    [0, 2, 2]
    """
    return (int(murmur2(key)) & 0x7FFFFFFF) % partitions


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """Return the partition of each key: the same, by arrays.

    It takes as many passes as there are lengths, so it pays from some dozens of keys on.

    >>> partitions_of([b"u1", b"u2", b"", b"u3"], 4)
    [0, 2, 1, 2]
    """
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    found = np.empty(len(keys), np.int64)
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        joined = b"".join([keys[place] for place in places.tolist()])
        table = np.frombuffer(joined, np.uint8).reshape(len(places), length)
        found[places] = (_murmur2(table) & np.uint32(0x7FFFFFFF)) % partitions
    return found.tolist()


def _murmur2(
    table: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Hash each row; as `org.apache.kafka.common.utils.Utils.murmur2` does."""
    count, length = table.shape
    whole = length - length % 4
    h = np.full(count, _SEED ^ length, np.uint32)
    words = np.ascontiguousarray(table[:, :whole]).view("<u4")
    for column in range(whole // 4):
        k = words[:, column] * _M
        k ^= k >> _R
        k *= _M
        h *= _M
        h ^= k
    if rest := length % 4:
        for at in reversed(range(rest)):
            h ^= table[:, whole + at].astype(np.uint32) << np.uint32(8 * at)
        h *= _M
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    return h
