r"""Tenants: several shops on one Tidemill, apart from each other.

A shop says which one it is by the field `tenant` of its records. Inside, an id carries its tenant:
`acme`'s user `ada` is `acme\x1fada`, another user than `ada` of any other shop, in every state,
table, row and count. Control characters are refused in the ids that shops send, so that no two
shops' ids can meet. The shop without a name has its ids as they are.

>>> inside("acme", "ada"), inside("", "ada")
('acme\x1fada', 'ada')
>>> outside("acme\x1fada"), outside("ada")
(Whole(tenant='acme', name='ada'), Whole(tenant='', name='ada'))
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from stream.errors import BadRecord
from stream.events import Tenant, json_encode

SEPARATOR = "\x1f"
"""Between a tenant and an id, inside: ASCII's own separator of units."""

KEY_SEPARATOR = "/"
"""Between a tenant and an item in the keys that shops write, and in the names of models."""

ONE_SHOP: frozenset[str] = frozenset()
"""No tenants: there is one shop, which has no name."""

_JSON_SEPARATOR = b"\\u001f"
_Name = Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]

T = TypeVar("T", bound=msgspec.Struct)


class TenantsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which shops there are beside the one without a name."""

    names: Annotated[
        tuple[_Name, ...],
        Meta(description="shops that records may name as their `tenant`; none: there is one shop"),
    ] = ()

    @property
    def known(self) -> frozenset[str]:
        """The names as a set."""
        return frozenset(self.names)


class Whole(NamedTuple):
    """An id, and whose it is."""

    tenant: str
    name: str


def inside(tenant: Tenant, name: str) -> str:
    """An id as it is known inside: it says whose it is."""
    return f"{tenant}{SEPARATOR}{name}" if tenant else name


def outside(whole: str) -> Whole:
    """An id as its shop knows it, and the shop."""
    tenant, separator, name = whole.partition(SEPARATOR)
    return Whole(tenant, name) if separator else Whole("", whole)


def tenant_of(whole: str) -> str:
    """Whose an id is."""
    return outside(whole).tenant


def plain(whole: str) -> str:
    """An id as its shop knows it."""
    return outside(whole).name


def check_tenant(tenant: Tenant, tenants: Collection[str]) -> None:
    """Refuse a tenant that is not among those of the settings.

    >>> check_tenant("acme", {"acme"}), check_tenant("", ONE_SHOP)
    (None, None)
    >>> check_tenant("acne", {"acme"})
    Traceback (most recent call last):
        ...
    stream.errors.BadRecord: `tenant` must be one of `tenants.names` (acme), got 'acne'
    """
    if tenant and tenant not in tenants:
        wanted = f"one of `tenants.names` ({', '.join(sorted(tenants)) or 'none is set'})"
        raise BadRecord(field="tenant", value=tenant, wanted=wanted, reason="unknown_tenant")


def into(record: T, tenant: Tenant, *fields: str) -> T:
    """A record with the ids in these fields as they are inside."""
    if not tenant:
        return record
    ids = {name: inside(tenant, getattr(record, name)) for name in fields}
    return msgspec.structs.replace(record, **ids)


def outward(value: bytes, tenant: str) -> bytes:
    r"""Encoded JSON with the ids of one tenant as its shop knows them, wherever they stand.

    >>> outward(b'{"user_id":"acme\\u001fada","reason":"for acme\\u001fpot"}', "acme")
    b'{"user_id":"ada","reason":"for pot"}'
    """
    return value.replace(tenant.encode() + _JSON_SEPARATOR, b"") if tenant else value


def told(record: msgspec.Struct, user_id: str) -> bytes:
    r"""A record about a user, encoded for the user's shop: with its name, and its ids as its own.

    Its key stays the user's whole id: all that is about a user is on one partition of every topic.

    >>> from stream.events import Forget
    >>> told(Forget(user_id="acme\x1fada"), "acme\x1fada")
    b'{"user_id":"ada","tenant":"acme"}'
    """
    tenant = tenant_of(user_id)
    if not tenant:
        return json_encode(record)
    return outward(json_encode(msgspec.structs.replace(record, tenant=tenant)), tenant)


def item_key(tenant: Tenant, item_id: str) -> str:
    """The key of an item on `items`, which is compacted: two shops' items must not share it.

    >>> item_key("acme", "pot-1"), item_key("", "pot-1")
    ('acme/pot-1', 'pot-1')
    """
    return f"{tenant}{KEY_SEPARATOR}{item_id}" if tenant else item_id


def split_key(key: str, tenants: Collection[str]) -> Whole:
    """Whose item a key names, and which.

    >>> split_key("acme/pot-1", {"acme"}), split_key("a/b", {"acme"})
    (Whole(tenant='acme', name='pot-1'), Whole(tenant='', name='a/b'))
    """
    tenant, separator, name = key.partition(KEY_SEPARATOR)
    return Whole(tenant, name) if separator and name and tenant in tenants else Whole("", key)
