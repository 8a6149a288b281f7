"""Ads in lists: who is ranked for whom, which places are sold, and what of it the list says.

A list gives the places that `serving.ad_places` names to ads, and its last items up for them; on
the surface `ads` every place is sold. A place that nobody buys stays with the list. Only answers to
requests have ads: nobody is known to look at a pushed list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from serving.ads import Ad, Desk, Won
from serving.ask import Ask
from serving.calibrated import Clicks
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import NOWHERE, Ranker
from serving.telling import TITLE_CHARS, Items
from stream.clock import Clock
from stream.cut import cut
from stream.events import AdShown, AdSpend, RecommendedItem, Step, json_encode
from stream.metrics import ADS_SHOWN, ADS_SPENT
from stream.outgoing import Outgoing

RANKED = 64
"""Ads that bid for one user: those that the model ranks highest."""

REASON = "Advertisement"


class Sponsored:
    """Sells places of one shop's lists."""

    def __init__(
        self, index: ItemIndex, config: ServingConfig, clicks: Clicks, clock: Clock, tenant: str
    ) -> None:
        self.desk = Desk(partial(clicks.on, tenant), config.ad_reserve, config.ads_per_user)
        self._index = index
        self._places = tuple(sorted(set(config.ad_places)))
        self._clock = clock

    def into(
        self,
        asks: Sequence[Ask],
        lists: Sequence[Items],
        histories: Sequence[Sequence[Step]],
        ranker: Ranker,
        now_ms: int,
    ) -> list[Items]:
        """The lists of a micro-batch with their ads; `now_ms` is the time of the histories."""
        made = list(lists)
        places = [self._for_sale(ask) for ask in asks]
        buyers = [n for n, free in enumerate(places) if free]
        if not buyers or not self._index.of_kind("ad"):
            return made
        ranked = ranker.rank_many(
            [histories[n] for n in buyers],
            now_ms,
            min(RANKED, len(self._index.catalog)),
            self._index.catalog.available,
            [self._index.mask(asks[n].filters, "ad") for n in buyers],
        )
        for n, rows_K, scores_K in zip(buyers, ranked.rows_BK, ranked.scores_BK, strict=True):
            real_K = rows_K != NOWHERE
            ads = self._ads(rows_K[real_K].tolist(), scores_K[real_K].tolist())
            ask = asks[n]
            won = self.desk.sell(
                ask.recommendation_id,
                ask.user_id if ask.counted else "",
                ask.surface,
                ads,
                places[n],
                now_ms=self._clock.now_ms(),
            )
            made[n] = self._with_ads(made[n], won, ask.k)
        return made

    def spent(self) -> list[Outgoing]:
        """What the ads of all lists that aren't out have spent, as records of `ad-spending`."""
        return [
            Outgoing(
                f"{partition}/{item_id}".encode(),
                json_encode(AdSpend(item_id=item_id, partition=partition, day=day, spent=spent)),
            )
            for partition, item_id, day, spent in self.desk.ledger.changes()
        ]

    def hear(self, said: AdSpend) -> None:
        """Take what another process's lists have spent."""
        self.desk.ledger.hear(said.partition, said.item_id, said.day, said.spent)

    def out(self) -> None:
        """Take note that the lists are out."""
        for won in self.desk.sold():
            ADS_SHOWN.inc()
            ADS_SPENT.inc(won.price)
        self.desk.out()

    def give_up(self) -> None:
        """Take note that the lists are another process's to make."""
        self.desk.give_up(self._clock.now_ms())

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop what users were shown who are to be forgotten."""
        self.desk.caps.forget(covers)

    def _for_sale(self, ask: Ask) -> Sequence[int]:
        if ask.request_id is None or ask.kind == "content":
            return ()
        if ask.kind == "ad":
            return range(1, ask.k + 1)
        return [place for place in self._places if place <= ask.k]

    def _ads(self, rows: Sequence[int], scores: Sequence[float]) -> list[Ad]:
        items = [self._index.catalog.item(row) for row in rows]
        return [
            Ad(item.item_id, item.bid, item.budget, score)
            for item, score in zip(items, scores, strict=True)
            if item.bid
        ]

    def _with_ads(self, items: Items, won: Sequence[Won], k: int) -> Items:
        out = list(items)
        catalog = self._index.catalog
        for one in won:  # the first place first, so that each one stays where it is put
            item = catalog.item(catalog.row(one.item_id))
            shown = RecommendedItem(
                item_id=one.item_id,
                score=round(one.score, 6),
                title=cut(item.title, TITLE_CHARS),
                reason=REASON,
                ad=AdShown(
                    probability=float(np.round(one.probability, 6)), price=round(one.price, 6)
                ),
            )
            out.insert(one.place - 1, shown)
        return tuple(out[:k])
