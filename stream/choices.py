r"""Who has chosen not to be personalised: their lists are everybody's, and nothing of them is kept.

The compacted topic `choices` holds one record for each user who ever chose; without one, a user is
personalised. What was known of a user before stays, unused: `tidemill forget` erases it. Of who
has opted out, nothing new is learnt, not even what is popular.

>>> from stream.batching import PlainRecord
>>> choices = Choices()
>>> choices.take(PlainRecord(b"ann", b'{"user_id": "ann", "personalised": false}', 0))
True
>>> choices.opted_out("ann"), choices.opted_out("bob")
(True, False)
>>> choices.take(PlainRecord(b"ann", None, 1)), choices.opted_out("ann")
(True, False)
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from hashlib import blake2b

import msgspec

from stream.batching import Record
from stream.errors import BadRecord
from stream.events import Choice, decode_choice
from stream.parse import check_id, parse_key
from stream.parse_faults import decode_wish
from stream.tenants import ONE_SHOP, check_tenant, inside

_log = logging.getLogger(__name__)


def parse_choice(record: Record, tenants: Collection[str] = ONE_SHOP) -> Choice:
    """Read a record of the topic `choices`; a null value chooses what is chosen without one.

    Raises
    ------
    BadRecord
        If it doesn't say who chose what.
    """
    if record.value is None:
        tenant, user_id = parse_key(record, "user_id", tenants)
        return Choice(user_id=user_id, personalised=True, tenant=tenant or msgspec.UNSET)
    wanted = '{"user_id": "…", "personalised": false}'
    choice = decode_wish(record.value, decode_choice, wanted)
    check_id("user_id", choice.user_id)
    check_tenant(choice.tenant, tenants)
    return choice


class Choices:
    """Who has opted out: hashes of ids, about 100 bytes each."""

    def __init__(self, tenants: Collection[str] = ONE_SHOP) -> None:
        self._tenants = tenants
        self._out: set[bytes] = set()

    def __len__(self) -> int:
        """How many users have opted out."""
        return len(self._out)

    def take(self, record: Record) -> bool:
        """Take a record of `choices`; one that can't be read is logged, and changes nothing."""
        try:
            choice = parse_choice(record, self._tenants)
        except BadRecord as error:
            _log.warning("choices@%d can't be read, left out: %s", record.offset, error)
            return False
        digest = _digest(inside(choice.tenant, choice.user_id))
        (self._out.discard if choice.personalised else self._out.add)(digest)
        return True

    def opted_out(self, user_id: str) -> bool:
        """Whether a user is not to be personalised; the id is as it is inside."""
        return bool(self._out) and _digest(user_id) in self._out


def _digest(user_id: str) -> bytes:
    return blake2b(user_id.encode(), digest_size=16).digest()
