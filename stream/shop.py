"""The simulated shop: shoppers with tastes that shift, and everything that goes wrong around them.

The shop is pure and seeded: the same seed, configuration and recommendations seen give the same
records, byte for byte. What it hides can be learnt: a visit stays with one interest, items lead on
to look-alikes and accessories, tastes prefer styles, brands and prices that stand in the texts, and
some items are famous. The truth about shifts is in `planted_shifts`. On demand a season begins: an
abrupt change for everyone (`stream.shop_season`). In another language only the texts differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from random import Random
from typing import Annotated, Literal, NamedTuple, cast

import msgspec
from msgspec import Meta

from stream.events import Click, Event, Item, Recommendation, Request, json_encode
from stream.parse import TopicKind, parse_event
from stream.shop_catalogue import Catalogue
from stream.shop_faults import FAULTS, break_record
from stream.shop_season import Season
from stream.shop_shoppers import PlantedShift, Shopper, make_shoppers
from stream.shop_visits import Visit, act, enter
from stream.shop_words import Language, ShopWords
from stream.shop_words_en import ENGLISH
from stream.shop_words_zh import CHINESE

WORDS: Mapping[Language, ShopWords] = {"en": ENGLISH, "zh": CHINESE}

_BURST = 12
"""Events of one visit by a bot."""

_REQUEST_SHARE = 0.1
"""How often a shopper's action opens a page that asks for recommendations."""

_CATALOGUE_EVERY = 150
"""Events between two changes of the catalogue: a new item, a price, something sold out."""

Share = Annotated[float, Meta(ge=0, le=0.5)]


class ShopConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large and how unruly the simulated shop is."""

    items: Annotated[int, Meta(ge=80, le=5_000, description="items at the start")] = 600
    shoppers: Annotated[int, Meta(ge=2, le=9_999, description="people who come back")] = 300
    open_visits: Annotated[int, Meta(ge=1, description="shoppers who are there at a time")] = 16
    start_ms: Annotated[
        int, Meta(ge=631_152_000_000, description="time of the first event, ms since the epoch")
    ] = 1_767_225_600_000
    mean_gap_ms: Annotated[
        float, Meta(gt=0, description="mean time between two events of the shop")
    ] = 50.0
    shift_after: Annotated[
        int, Meta(ge=1, description="a shopper's events before a taste may shift (again)")
    ] = 15
    shift_share: Annotated[
        Share, Meta(description="share of such shoppers' visits that begin with a shift")
    ] = 0.1
    season_at: Annotated[
        int | None,
        Meta(ge=1, description="events after which a season begins, abruptly and for everyone"),
    ] = None
    season_share: Annotated[
        float, Meta(ge=0, le=1, description="share of shoppers whom the season moves")
    ] = 0.8
    bot_share: Annotated[Share, Meta(description="share of bots' events")] = 0.01
    duplicate_share: Annotated[Share, Meta(description="share of records sent twice")] = 0.02
    broken_share: Annotated[Share, Meta(description="share of broken records")] = 0.01
    language: Annotated[
        Language, Meta(description="of titles, brands, categories and reviews, and of nothing else")
    ] = "en"


Label = Literal["item", "request", "event", "bot", "duplicate", "broken"]


class ShopRecord(NamedTuple):
    """A record as the shop would send it, and what it truly is.

    `topic_kind` is the topic's name without its prefix.
    """

    topic_kind: str
    key: bytes | None
    value: bytes | None
    ts_ms: int
    label: Label


class Shop:
    """A shop that never closes.

    Examples
    --------
    >>> shop = Shop(seed=7)
    >>> len(shop.items())
    600
    >>> [record.topic_kind for record in shop.step()]
    ['requests', 'clicks']
    >>> [(event.user_id, event.item_id) for event in shop.clean_events(2)]
    [('shopper-0140', 'headphones-0404'), ('shopper-0240', 'chairs-0073')]
    """

    def __init__(self, seed: int, config: ShopConfig | None = None) -> None:
        self.config = config or ShopConfig()
        self.planted_shifts: list[PlantedShift] = []
        self.events = 0
        """Clean events of shoppers so far."""
        self._rng = Random(seed)
        self._catalogue = Catalogue(self._rng, self.config.items, WORDS[self.config.language])
        self._shoppers = make_shoppers(self._rng, self.config.shoppers)
        self._by_id = {shopper.user_id: shopper for shopper in self._shoppers}
        self._visits: list[Visit] = []
        self._now_ms = float(self.config.start_ms)
        self._run = f"{seed}-{self.config.start_ms:x}"
        self._ids = 0
        self._visit_count = 0
        self._bot_left = 0
        self._bot: tuple[str, str] = ("", "")
        self._late: deque[tuple[int, ShopRecord]] = deque()
        self._season: Season | None = None

    def items(self) -> list[Item]:
        """The catalogue as it is now."""
        return [ware.item for ware in self._catalogue.wares]

    def item_records(self) -> list[ShopRecord]:
        """The catalogue as it is now, as records of `items`."""
        return [self._record("items", item.item_id, item, "item") for item in self.items()]

    def records(self) -> Iterator[ShopRecord]:
        """Everything that happens from now on, without end; the catalogue so far not included."""
        while True:
            yield from self.step()

    def clean_events(self, count: int) -> list[Event]:
        """The next events that ingest would accept, shoppers' and bots', validated."""
        events: list[Event] = []
        while len(events) < count:
            for record in self.step():
                if record.label in ("event", "bot"):
                    kind = cast(TopicKind, record.topic_kind)
                    source = f"{kind}-0-{self._ids}"
                    now_ms = record.ts_ms
                    events.append(parse_event(kind, record.value, source, now_ms, now_ms))
        return events[:count]

    def see(self, recommendation: Recommendation) -> None:
        """Show a shopper an answer: the next actions may click an item of it."""
        shopper = self._by_id.get(recommendation.user_id)
        if shopper is not None:
            number = self._catalogue.number
            wares = [number[i.item_id] for i in recommendation.items if i.item_id in number]
            shopper.shown = (recommendation.recommendation_id, wares)

    def step(self) -> list[ShopRecord]:
        """Let one shopper do one thing, and return it with whatever else is sent meanwhile."""
        rng, config = self._rng, self.config
        if self.events == config.season_at and self._season is None:
            self._season = Season(rng, self._catalogue, config.season_share)
        self._now_ms += rng.expovariate(1.0 / config.mean_gap_ms)
        out: list[ShopRecord] = []
        if len(self._visits) < min(config.open_visits, len(self._shoppers)):
            out.append(self._enter())
        visit = rng.choice(self._visits)
        topic, event = act(rng, self._catalogue, visit, self._ms, self._event_id())
        sent = self._record(topic, visit.shopper.user_id, event, "event")
        out.append(sent)
        self.events += 1
        if visit.over:
            self._visits.remove(visit)
        elif rng.random() < _REQUEST_SHARE:
            out.append(self._request(visit))
        if rng.random() < config.bot_share / _BURST:
            self._bot_left = _BURST
            ware = rng.choice(self._catalogue.wares)
            self._bot = (f"bot-{rng.randrange(4)}", ware.item.item_id)
        if self._bot_left:
            self._bot_left -= 1
            out.append(self._bot_record())
        if rng.random() < config.broken_share:
            out.append(self._broken(visit))
        if self.events % _CATALOGUE_EVERY == 0:
            out.append(self._change_catalogue())
        if rng.random() < config.duplicate_share:
            key = rng.choice((sent.key, sent.key, None, b"retry"))
            again = sent._replace(key=key, label="duplicate")
            self._late.append((self.events + rng.randrange(1, 30), again))
        while self._late and self._late[0][0] <= self.events:
            out.append(self._late.popleft()[1])
        return out

    def _enter(self) -> ShopRecord:
        rng, config = self._rng, self.config
        here = {visit.shopper.user_id for visit in self._visits}
        away = [0.0 if s.user_id in here else s.activity for s in self._shoppers]
        shopper = rng.choices(self._shoppers, away)[0]
        known = shopper.events - shopper.events_at_shift
        moves: tuple[int, int] | None = None
        if self._season is not None and self._season.moves(rng, shopper):
            moves = shopper.shift(rng, self._season.fame)
        elif known >= config.shift_after and rng.random() < config.shift_share:
            moves = shopper.shift(rng)
        if moves is not None:
            self._plant(shopper, *moves)
        self._visit_count += 1
        session_id = f"{self._run}-s{self._visit_count}"
        self._visits.append(enter(rng, shopper, session_id))
        return self._request(self._visits[-1])

    def _plant(self, shopper: Shopper, old: int, new: int) -> None:
        shelves = self._catalogue.words.shelves
        paths = (shelves[old].path, shelves[new].path)
        self.planted_shifts.append(
            PlantedShift(shopper.user_id, self.events, self._ms, shopper.events, *paths)
        )

    def _request(self, visit: Visit) -> ShopRecord:
        context = None
        if visit.ware is not None:
            context = self._catalogue.wares[visit.ware].item.item_id
        request = Request(
            request_id=self._event_id("r"),
            user_id=visit.shopper.user_id,
            surface="home" if context is None else "product",
            context_item=context,
        )
        return self._record("requests", request.user_id, request, "request")

    def _bot_record(self) -> ShopRecord:
        user_id, item_id = self._bot
        click = Click(
            user_id=user_id,
            item_id=item_id,
            ts=self._ms,
            action="view",
            event_id=self._event_id(),
        )
        return self._record("clicks", user_id, click, "bot")

    def _broken(self, visit: Visit) -> ShopRecord:
        fault = self._rng.choice(tuple(FAULTS))
        user_id = visit.shopper.user_id
        item_id = self._rng.choice(self._catalogue.wares).item.item_id
        value = break_record(self._rng, fault, user_id, item_id, self._ms)
        return ShopRecord(FAULTS[fault][0], user_id.encode(), value, self._ms, "broken")

    def _change_catalogue(self) -> ShopRecord:
        rng, catalogue = self._rng, self._catalogue
        catalogue.drift()
        number = rng.randrange(len(catalogue.wares))
        item = catalogue.wares[number].item
        change = rng.choice(("new", "new", "new", "stock", "price"))
        if change == "new":
            item = catalogue.add().item
        elif change == "stock" or not item.available:
            item = catalogue.set_available(number, not item.available)
        else:
            item = catalogue.set_price(number, (item.price or 1.0) * rng.uniform(0.8, 1.1))
        return self._record("items", item.item_id, item, "item")

    def _record(self, topic: str, key: str, payload: msgspec.Struct, label: Label) -> ShopRecord:
        return ShopRecord(topic, key.encode(), json_encode(payload), self._ms, label)

    def _event_id(self, mark: str = "e") -> str:
        self._ids += 1
        return f"{self._run}-{mark}{self._ids}"

    @property
    def _ms(self) -> int:
        return int(self._now_ms)
