"""What is played: a catalogue, and records in the order in which a shop would send them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec

from stream.clock import Clock
from stream.events import Item, Recommendation, Request, json_encode
from stream.formats import Log
from stream.shop import Shop, ShopConfig
from stream.shop_words import Language

EVENTS_PER_REQUEST = 5
"""Of a recorded log: fewer events in between ask more often than most shops would."""


TITLES: Mapping[Language, str] = {
    "en": "the simulated shop",
    "zh": "the simulated shop in Chinese",
}
"""What the screen calls the simulated shop."""


class Line(NamedTuple):
    """One record to send; `topic` is the name without its prefix."""

    topic: str
    key: bytes | None
    value: bytes | None


class Script(Protocol):
    """A shop to play: simulated, or a recorded log."""

    title: str
    """What the screen calls it."""

    def items(self) -> Iterable[Line]:
        """The catalogue that is there before anyone comes."""

    def lines(self) -> Iterator[Line]:
        """Events, requests and changes of the catalogue, in time order."""

    def see(self, recommendation: Recommendation) -> None:
        """A recommendation reached its shopper, who may act on it in a later line."""


class ShopScript:
    """The simulated shop, in real time: a shopper does something every `1 / rate_per_s` seconds.

    Parameters
    ----------
    seed
        The same seed gives the same shop.
    rate_per_s
        Events per second that will be played: the shop's clock then keeps up with ours.
    clock
        When the shop opens.
    season_at
        Events after which a season begins, at which interests and fame change abruptly; or never.
    language
        Of titles, brands, categories and reviews. What happens is the same in each.
    """

    def __init__(
        self,
        seed: int,
        rate_per_s: float,
        clock: Clock,
        *,
        season_at: int | None = None,
        language: Language = "en",
    ) -> None:
        self.title = TITLES[language]
        config = ShopConfig(
            start_ms=clock.now_ms(),
            mean_gap_ms=1000.0 / rate_per_s,
            season_at=season_at,
            language=language,
        )
        self._shop = Shop(seed, config)

    def items(self) -> Iterable[Line]:
        """The catalogue at opening."""
        return (Line(r.topic_kind, r.key, r.value) for r in self._shop.item_records())

    def lines(self) -> Iterator[Line]:
        """Whatever happens, without end."""
        return (Line(r.topic_kind, r.key, r.value) for r in self._shop.records())

    def see(self, recommendation: Recommendation) -> None:
        """Show it to its shopper."""
        self._shop.see(recommendation)


class LogScript:
    """A recorded log, moved in time as a whole so that its last played event happens now.

    The distances between its events stay as they were, which is what popularity, recency and
    drift live on; without the move, every answer would be made years after the history that it
    is made from. Ids carry the move: the same log played again is a new happening, not a repeat.
    After every `EVENTS_PER_REQUEST` events, whoever acted last asks for recommendations.

    Parameters
    ----------
    log
        The log.
    events
        How many events will be played; all of them where it is `None`.
    clock
        What now is.
    """

    def __init__(self, log: Log, events: int | None, clock: Clock) -> None:
        self.title = f"the log {log.name}"
        self._log = log
        self._events = events
        self._clock = clock

    def items(self) -> Iterable[Line]:
        """The whole catalogue of the log."""
        return (Line(r.topic, r.key, json_encode(r.value)) for r in self._log.items())

    def lines(self) -> Iterator[Line]:
        """The events in time order, and requests between them."""
        newest = deque(islice(self._log.events(), self._events), maxlen=1)
        move_ms = self._clock.now_ms() - (newest[0].ts_ms if newest else 0)
        for number, record in enumerate(self._log.events(), start=1):
            event = record.value
            assert not isinstance(event, Item)
            moved = msgspec.structs.replace(
                event, ts=record.ts_ms + move_ms, event_id=f"{event.event_id}+{move_ms}"
            )
            yield Line(record.topic, record.key, json_encode(moved))
            if number % EVENTS_PER_REQUEST == 0:
                request = Request(
                    request_id=f"after-{moved.event_id}",
                    user_id=event.user_id,
                    context_item=event.item_id,
                    surface="product",
                )
                yield Line("requests", record.key, json_encode(request))

    def see(self, recommendation: Recommendation) -> None:
        """What is recorded can't answer back."""
