"""A catalogue for each shop: an item is in its own shop's, and in no other."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from features.catalog import UNKNOWN, Catalog
from stream.batching import Record
from stream.events import ItemVector
from stream.tenants import ONE_SHOP, tenant_of


class Catalogs:
    r"""The shops' catalogues, all of one width.

    Parameters
    ----------
    catalog
        That of the shop without a name; the others begin empty, and alike.
    tenants
        The other shops.

    Examples
    --------
    >>> catalogs = Catalogs(Catalog(width=2), {"acme"})
    >>> item = ItemVector(item_id="acme\x1fpot", vector=b"", encoder="", text_hash="",
    ...                   first_seen_ms=0)
    >>> catalogs.of("acme").upsert([item])
    >>> catalogs.known("acme\x1fpot") is item, catalogs.known("pot"), len(catalogs.of(""))
    (True, None, 0)
    """

    def __init__(self, catalog: Catalog, tenants: Collection[str] = ONE_SHOP) -> None:
        self._of = {"": catalog}
        for name in sorted(tenants):
            self._of[name] = Catalog(catalog.width, texts=catalog.texts)

    def of(self, tenant: str) -> Catalog:
        """One shop's.

        Raises
        ------
        KeyError
            If there is no such shop.
        """
        return self._of[tenant]

    def known(self, item_id: str) -> ItemVector | None:
        """What is known of an item, by its whole id."""
        catalog = self._of.get(tenant_of(item_id))
        row = UNKNOWN if catalog is None else catalog.row(item_id)
        return None if catalog is None or row == UNKNOWN else catalog.item(row)

    def twin(self, item_id: str, gtin: str) -> ItemVector | None:
        """The same article under another id, in the same shop."""
        catalog = self._of.get(tenant_of(item_id))
        return None if catalog is None else catalog.twin(item_id, gtin)

    def sorted(self, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Records of `item-vectors` by whose they are; those of a shop that is no more are out."""
        found: dict[str, list[Record]] = {}
        for record in records:
            tenant = tenant_of((record.key or b"").decode("utf-8", "replace"))
            if tenant in self._of:
                found.setdefault(tenant, []).append(record)
        return found
