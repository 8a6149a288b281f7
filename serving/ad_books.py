"""The books of ads in a serving process: what clicks are worth, and what has been spent, by topics.

`calibrations` says what a show is worth, `ad-spending` what other processes have spent. What this
one's lists spend goes to `ad-spending` in the transaction of the lists, so that the books hold what
was shown and nothing else. Who takes a partition over reads the books to their end first, and goes
on from there.

Two processes know of each other within `serving.follow_ms`. An ad whose budget ends may be shown by
each of them once more in that time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from serving.calibrated import Clicks
from serving.config import ServingConfig
from serving.followed import Followed
from serving.recommend import Recommender
from serving.sponsored import Sponsored
from stream.batching import Record
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord
from stream.events import decode_ad_spend
from stream.outgoing import Outgoing
from stream.parse_faults import decode_own
from stream.tenants import tenant_of
from stream.topics import Topics

_log = logging.getLogger(__name__)

_LOAD_S = 30.0


class AdBooks:
    """Sells the places of all shops' lists, and keeps the books.

    Parameters
    ----------
    recommenders
        Who makes each shop's lists: they are given their seller here.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        config: ServingConfig,
        recommenders: Mapping[str, Recommender],
        clock: Clock,
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self.topic = topics.ad_spending
        clicks = Clicks()
        takes = {topics.calibrations: clicks.hear, topics.ad_spending: self._hear}
        self._books = Followed(kafka, clock, "ads", 0.0, takes)
        self._sellers: dict[str, Sponsored] = {}
        for tenant, recommender in recommenders.items():
            seller = Sponsored(recommender.index, config, clicks, clock, tenant)
            self._sellers[tenant] = recommender.sponsored = seller

    def load(self) -> None:
        """Read both topics to their end: before a partition's first list.

        Raises
        ------
        Unavailable
            If the broker doesn't answer; the next call goes on from there.
        """
        self._books.load(_LOAD_S)

    def follow(self) -> None:
        """Take what is new; a broker that is away changes nothing here."""
        self._books.follow()

    def spent(self) -> list[Outgoing]:
        """What ads have spent in lists that aren't out yet."""
        return [one for seller in self._sellers.values() for one in seller.spent()]

    def out(self) -> None:
        """Take note that all lists are out."""
        for seller in self._sellers.values():
            seller.out()

    def give_up(self) -> None:
        """Take note that the lists in hand are other processes' to make."""
        for seller in self._sellers.values():
            seller.give_up()

    def close(self) -> None:
        """Disconnect."""
        self._books.close()

    def _hear(self, record: Record) -> None:
        try:
            said = decode_own(record.value, decode_ad_spend, "an ad's spending", "serving")
        except BadRecord as error:
            _log.warning("ad-spending@%d can't be read, left out: %s", record.offset, error)
            return
        seller = self._sellers.get(tenant_of(said.item_id))
        if seller is not None:
            seller.hear(said)
