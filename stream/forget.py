r"""Users who are to be forgotten: what their records say, and which events come too late for them.

The topic `forget` holds who is to be erased until all of it is done; then the record itself goes.
Until then, what a user did before the record was written may still be on its way through the
topics: it is dropped wherever it arrives (`Forgotten.covers`), so that nothing brings back what was
erased. What the user does afterwards is new.

>>> from stream.batching import PlainRecord
>>> parse_forget(PlainRecord(b"ann", b'{"user_id": "ann"}', 0)).user_id
'ann'
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import msgspec

from stream.batching import Record
from stream.errors import BadRecord
from stream.events import Forget, decode_forget
from stream.parse import check_id
from stream.parse_faults import decode_wish
from stream.tenants import check_tenant, inside


def parse_forget(record: Record, tenants: Collection[str] | None = None) -> Forget:
    """Read a record of the topic `forget`; its tenant is one of those given, if any are.

    Raises
    ------
    BadRecord
        If it doesn't say who is to be forgotten.
    """
    field, wanted = "value", '{"user_id": "…"}'
    if record.value is None:
        raise BadRecord(field, None, wanted, "empty")
    forget = decode_wish(record.value, decode_forget, wanted)
    check_id("user_id", forget.user_id)
    if tenants is not None:
        check_tenant(forget.tenant, tenants)
    return forget


def whom(forget: Forget) -> str:
    r"""Who is to be forgotten, as the user's id is inside.

    >>> whom(Forget(user_id="ann", tenant="acme"))
    'acme\x1fann'
    """
    return inside(forget.tenant, forget.user_id)


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    before_ms: int
    partition: int
    offset: int


class Forgotten:
    """Whose events of before are dropped: hashes of ids, no ids, and only while it is needed.

    One entry takes about 200 bytes. It goes when the broker has removed its record from the topic,
    which is done when no event of before is on its way any more.

    Examples
    --------
    >>> forgotten = Forgotten()
    >>> forgotten.add("ann", 1_000, partition=0, offset=7)
    >>> forgotten.covers("ann", 1_000), forgotten.covers("ann", 1_001), forgotten.covers("bob", 5)
    (True, False, False)
    >>> forgotten.trim({0: 8})
    >>> forgotten.covers("ann", 1_000), len(forgotten)
    (False, 0)
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        """How many users are being forgotten."""
        return len(self._entries)

    def add(self, user_id: str, before_ms: int, *, partition: int, offset: int) -> None:
        """Take note of a record of `forget`; the newest one of a user counts."""
        digest = _digest(user_id)
        known = self._entries.get(digest)
        if known is not None:
            before_ms = max(before_ms, known.before_ms)
        self._entries[digest] = _Entry(before_ms, partition, offset)

    def covers(self, user_id: str, received_ms: int) -> bool:
        """Whether an event of a user belongs to what is forgotten."""
        if not self._entries:
            return False
        entry = self._entries.get(_digest(user_id))
        return entry is not None and received_ms <= entry.before_ms

    def trim(self, first_offsets: Mapping[int, int]) -> None:
        """Drop the entries whose records are gone, given where each partition begins now."""
        self._entries = {
            digest: entry
            for digest, entry in self._entries.items()
            if entry.offset >= first_offsets.get(entry.partition, 0)
        }

    def take(self, partition: int, records: Iterable[Record]) -> list[str]:
        """Take note of several records; returns their users' ids, unreadable records left out."""
        users = []
        for record in records:
            try:
                user_id = whom(parse_forget(record))
            except BadRecord:
                continue
            self.add(user_id, record.timestamp, partition=partition, offset=record.offset)
            users.append(user_id)
        return users


def _digest(user_id: str) -> bytes:
    return blake2b(user_id.encode(), digest_size=16).digest()
