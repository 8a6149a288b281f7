r"""Which ids are the same person: on the web, in the app, at the till.

The compacted topic `identities` holds, for an id, the other id that it is the same as. What links
so, whichever way round and over however many steps, is one person, as long as no record says that
it is not. A link is a view: nothing is moved, so that to undo it is to leave it out.

>>> from stream.batching import PlainRecord
>>> links = Links()
>>> links.take(PlainRecord(b"app-7", b'{"user_id": "app-7", "same_as": "ann"}', 0))
True
>>> links.group("ann"), links.group("app-7"), links.group("bob")
(('ann', 'app-7'), ('ann', 'app-7'), ('bob',))
>>> links.take(PlainRecord(b"app-7", None, 1)), links.group("ann")
(True, ('ann',))
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import msgspec

from stream.batching import Record
from stream.errors import BadRecord
from stream.events import Identity, decode_identity
from stream.parse import check_id, parse_key
from stream.parse_faults import decode_wish
from stream.tenants import ONE_SHOP, check_tenant, inside

MOST_IDS = 8
"""Ids of one person: a device that a thousand people share must not make one person of them."""

_log = logging.getLogger(__name__)


def parse_identity(record: Record, tenants: Collection[str] = ONE_SHOP) -> Identity:
    """Read a record of the topic `identities`; a null value unlinks the id that is its key.

    Raises
    ------
    BadRecord
        If it doesn't say which ids are linked, or not.
    """
    if record.value is None:
        tenant, user_id = parse_key(record, "user_id", tenants)
        return Identity(
            user_id=user_id, same_as=user_id, linked=False, tenant=tenant or msgspec.UNSET
        )
    wanted = '{"user_id": "…", "same_as": "…", "linked": true}'
    identity = decode_wish(record.value, decode_identity, wanted)
    check_id("user_id", identity.user_id)
    check_id("same_as", identity.same_as)
    check_tenant(identity.tenant, tenants)
    return identity


class Links:
    """What is linked: some 200 bytes for each id that is."""

    def __init__(self, tenants: Collection[str] = ONE_SHOP) -> None:
        self._tenants = tenants
        self._same_as: dict[str, str] = {}
        self._linked: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """How many links there are."""
        return len(self._same_as)

    def take(self, record: Record) -> bool:
        """Take a record of `identities`; one that can't be read is logged, and changes nothing."""
        try:
            said = parse_identity(record, self._tenants)
        except BadRecord as error:
            _log.warning("identities@%d can't be read, left out: %s", record.offset, error)
            return False
        one, other = (inside(said.tenant, name) for name in (said.user_id, said.same_as))
        before = self._same_as.pop(one, None)
        if before is not None and self._same_as.get(before) != one:
            self._unlink(one, before)
        if said.linked and one != other:
            self._same_as[one] = other
            self._linked.setdefault(one, set()).add(other)
            self._linked.setdefault(other, set()).add(one)
        return True

    def group(self, user_id: str) -> tuple[str, ...]:
        """All ids of a person, in order; where they are too many, the nearest to this one."""
        if user_id not in self._linked:
            return (user_id,)
        found, ring = {user_id}, [user_id]
        while ring:
            near = sorted({other for one in ring for other in self._linked[one]} - found)
            ring = near[: MOST_IDS - len(found)]
            found.update(ring)
        return tuple(sorted(found))

    def _unlink(self, one: str, other: str) -> None:
        for here, there in ((one, other), (other, one)):
            linked = self._linked[here]
            linked.discard(there)
            if not linked:
                del self._linked[here]
