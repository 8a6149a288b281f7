"""What serving keeps of each shop: its items, its model version, and who makes its lists.

Nothing of one shop is in reach of another: a list can only name what is in its shop's catalogue,
and only counts of its shop rank it. All of them share the process, the encoder's width, the
settings and the micro-batches.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from features.catalog import Catalog
from serving.ab.tested import TestedRecommender
from serving.answers.desk import Desk
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import Models
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from serving.search.parts import SearchParts
from serving.swap import AdapterSwap
from serving.telling import Speaks
from stream.batching import Record
from stream.clock import Clock
from stream.metrics import (
    ADAPTER_SWAPS,
    ADAPTER_VERSION,
    CATALOGUE_ITEMS,
    SEARCH_WAITING_ITEMS,
)
from stream.tenants import KEY_SEPARATOR, item_key, tenant_of
from stream.variants import NO_TEST, VariantsConfig


class Shop:
    """One shop's items, model and lists.

    Parameters
    ----------
    tenant
        Its name; empty for the shop without one.
    catalog
        An empty catalogue of the encoder's width.
    """

    def __init__(  # noqa: PLR0913 - a shop's parts
        self,
        tenant: str,
        catalog: Catalog,
        *,
        models: Models,
        config: ServingConfig,
        clock: Clock,
        speaker: Speaks | None = None,
        test: VariantsConfig = NO_TEST,
        search: SearchParts | None = None,
    ) -> None:
        self.tenant = tenant
        self.index = ItemIndex(catalog)
        self.swap = AdapterSwap(models, catalog, config.model and item_key(tenant, config.model))
        untrained = models.untrained(catalog)
        self.recommender = (
            TestedRecommender(self.index, untrained, config, clock, speaker, test=test)
            if test.arms
            else Recommender(self.index, untrained, config, clock, speaker)
        )

        self.searches = search.of_shop(tenant, self.recommender) if search is not None else None

    def swap_model(self) -> None:
        """Move one step on to the newest version; the next lists are made by it."""
        swap = self.swap.step()
        if swap is None:
            return
        ADAPTER_SWAPS.labels(outcome=swap.outcome).inc()
        if swap.ranker is not None:
            self.recommender.ranker = swap.ranker
            ADAPTER_VERSION.labels(tenant=self.tenant).set(swap.ranker.version or 0)

    def count_items(self) -> None:
        """Say how many items there are."""
        offered = self.index.offered
        of = {"available": offered, "withdrawn": len(self.index.catalog) - offered}
        for state, count in of.items():
            CATALOGUE_ITEMS.labels(state=state, tenant=self.tenant).set(count)


class Shops:
    """All shops: what comes from the topics goes to the one whose it is.

    Parameters
    ----------
    tenants
        The names of the shops beside the one without a name.
    catalog
        The empty catalogue of the latter; the others get catalogues of their own.
    """

    def __init__(  # noqa: PLR0913 - see `Shop`
        self,
        tenants: Collection[str],
        catalog: Catalog,
        *,
        models: Models,
        config: ServingConfig,
        clock: Clock,
        speaker: Speaks | None = None,
        test: VariantsConfig = NO_TEST,
        search: SearchParts | None = None,
    ) -> None:
        width, texts = catalog.width, catalog.texts
        catalogs = {"": catalog} | {name: Catalog(width, texts=texts) for name in sorted(tenants)}
        self._shops = {
            name: Shop(
                name,
                own,
                models=models,
                config=config,
                clock=clock,
                speaker=speaker,
                test=test,
                search=search,
            )
            for name, own in catalogs.items()
        }

    @property
    def recommenders(self) -> Mapping[str, Recommender]:
        """Who makes the lists of each shop."""
        return {name: shop.recommender for name, shop in self._shops.items()}

    @property
    def searches(self) -> Mapping[str, SearchAnswers]:
        """Who answers the searches of each shop."""
        of = {name: shop.searches for name, shop in self._shops.items()}
        return {name: searches for name, searches in of.items() if searches is not None}

    def open(self, desk: Desk) -> None:
        """Let questions about all shops be answered."""
        for name, shop in self._shops.items():
            desk.open_shop(name, shop.index, shop.searches)

    def follow_search(self, longest_s: float | None = None) -> None:
        """Let what changed in the catalogues be found, for a moment or for so long."""
        waiting = sum(searches.follow(longest_s) for searches in self.searches.values())
        SEARCH_WAITING_ITEMS.set(waiting)

    def of(self, tenant: str) -> Shop:
        """One shop.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        return self._shops[tenant]

    def apply(self, record: Record) -> None:
        """Take a record of `item-vectors`; an item of a shop that is no more is passed over."""
        shop = self._shops.get(tenant_of(_text(record.key)))
        if shop is not None:
            shop.index.apply(record)

    def hear(self, record: Record) -> None:
        """Take a record of `adapters`; a version for a shop that is no more is passed over."""
        tenant, separator, _ = _text(record.key).partition(KEY_SEPARATOR)
        shop = self._shops.get(tenant if separator else "")
        if shop is not None:
            shop.swap.hear(record)

    def swap_models(self) -> None:
        """Move one step on to the newest version of each shop."""
        for shop in self._shops.values():
            shop.swap_model()

    def settle(self, timeout_s: float) -> None:
        """Wait for loads in flight, for so long in all."""
        deadline_s = time.monotonic() + timeout_s
        for shop in self._shops.values():
            shop.swap.settle(max(0.0, deadline_s - time.monotonic()))

    def count_items(self) -> None:
        """Say how many items each shop has."""
        for shop in self._shops.values():
            shop.count_items()

    def __str__(self) -> str:
        """How many items each shop has, for the log."""
        return ", ".join(
            f"{len(shop.index.catalog)} items" + (f" of {name}" if name else "")
            for name, shop in self._shops.items()
        )


def _text(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "replace")
