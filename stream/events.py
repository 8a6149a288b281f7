"""Every record that crosses a topic, as a frozen struct.

The first part is what shops send (`Click`, `Purchase`, `Review`, `Item`, `Request`), the second
what Tidemill's rooms say to each other and to the shop. Public topics carry JSON; `examples` and
`item-vectors`, which only Tidemill reads, carry msgpack. New fields always come with a default, so
that an older reader and a newer writer understand each other.

One decoder and one encoder per type are made here, once: making them is slow, using them is not.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream.asked import Answer

Id = Annotated[str, Meta(min_length=1, max_length=256)]
"""An identifier: 1 to 256 characters. Control characters are refused when it is parsed."""

Timestamp = int | str
"""Milliseconds since the epoch, or an ISO 8601 date and time with its zone."""

Tenant = str | msgspec.UnsetType
"""Which of several shops a record is of (`stream.tenants`); unset: the one without a name."""

Kind = Literal["view", "click", "cart", "purchase", "review"]
"""What a user did, from the weakest sign of interest to the strongest."""

KINDS: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "review")
"""`Kind` in the order of the codes that states and the learner use."""

KIND_CODE: dict[Kind, int] = {kind: code for code, kind in enumerate(KINDS)}


AttributeValue = str | float | bool
"""What a shop may say of an item under a name of its own: `{"weight": "1.5 kg", "lid": true}`. A
whole number comes out as a float."""


Sort = Literal["relevance", "price", "price_down", "newest"]
"""In which order found items come."""


# What shops send -------------------------------------------------------------------------------


class Click(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of the topic `clicks`."""

    user_id: Id
    item_id: Id
    ts: Timestamp
    action: Literal["view", "click", "cart"] = "click"
    event_id: Id | None = None
    recommendation_id: Id | None = None
    session_id: Id | None = None
    tenant: Tenant = msgspec.UNSET


class Purchase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of the topic `purchases`."""

    user_id: Id
    item_id: Id
    ts: Timestamp
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    price: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    event_id: Id | None = None
    recommendation_id: Id | None = None
    session_id: Id | None = None
    tenant: Tenant = msgspec.UNSET


class Review(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of the topic `reviews`."""

    user_id: Id
    item_id: Id
    ts: Timestamp
    rating: Annotated[float, Meta(ge=1, le=5)] | None = None
    title: str = ""
    text: str = ""
    event_id: Id | None = None
    recommendation_id: Id | None = None
    tenant: Tenant = msgspec.UNSET


ItemKind = Literal["product", "content", "ad"]
"""What an item is: what the shop sells, what it tells (articles, videos), or what somebody pays it
to show."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `items`; a null value deletes the item.

    Of an ad, `bid` is what a click is worth to who pays for it, and `budget` what may be spent on
    it in a day (UTC), both in the shop's money; without a bid it is never shown. Items of one
    `gtin` are one article under several ids: their texts are encoded once.
    """

    item_id: Id
    title: str = ""
    description: str = ""
    category: tuple[str, ...] | str = ()
    brand: str = ""
    price: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    available: bool = True
    image_vector: tuple[float, ...] | None = None
    attributes: dict[str, AttributeValue] = {}
    kind: ItemKind = "product"
    bid: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    budget: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    gtin: Annotated[str, Meta(max_length=32)] = ""
    tenant: Tenant = msgspec.UNSET


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What the items of an answer must satisfy; an empty filter lets everything through.

    With `available` false, a search also finds what can't be had now; lists never hold that.
    """

    category: str | None = None
    brand: str | None = None
    price_min: float | None = None
    price_max: float | None = None
    available: bool = True


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `requests`: who wants how many recommendations, and where.

    With a `query` it is a search. `sort`, `offset` (of this page's first item), `facets` (count
    categories and brands), `suggest` (complete the query instead) and `explain` are about that.
    With a `question` it asks what the shop knows, of `context_item` where there is one; questions
    of one `conversation_id` of a user build on each other.
    """

    request_id: Id
    user_id: Id
    k: Annotated[int, Meta(ge=1, le=200)] = 10
    surface: Annotated[str, Meta(max_length=64)] = "home"
    context_item: Id | None = None
    filters: Filters = Filters()
    query: Annotated[str, Meta(max_length=1_000)] | None = None
    sort: Sort = "relevance"
    offset: Annotated[int, Meta(ge=0, le=2_000)] = 0
    facets: bool = False
    suggest: bool = False
    explain: bool = False
    question: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None
    conversation_id: Id | None = None
    tenant: Tenant = msgspec.UNSET


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `forget`: everything that is known of this user is to be erased."""

    user_id: Id
    tenant: Tenant = msgspec.UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `choices`: whether a user's lists may be made for them."""

    user_id: Id
    personalised: bool
    tenant: Tenant = msgspec.UNSET


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `identities`: an id of the same person as another one.

    An id's newest record counts; with `linked` false, or a null value, the id stands alone again.
    """

    user_id: Id
    same_as: Id
    linked: bool = True
    tenant: Tenant = msgspec.UNSET


# What Tidemill says ----------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A record of the topic `events`: validated, with an id and a time in milliseconds.

    A field that has its default isn't written: of a click's fifteen that is every second one.
    User and item carry their tenant within their ids (`stream.tenants`), here and in `Example`.

    `source` names the raw record (`topic-partition-offset`), `received_ms` is that record's Kafka
    timestamp: the moment from which freshness is counted. `replayed` says that the record was a
    dead letter once: its source is then older than what was read from there meanwhile.
    """

    event_id: str
    user_id: str
    item_id: str
    kind: Kind
    ts_ms: int
    source: str
    received_ms: int
    quantity: int = 1
    price: float | None = None
    rating: float | None = None
    title: str = ""
    text: str = ""
    recommendation_id: str | None = None
    session_id: str | None = None
    replayed: bool = False


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One past event of a user, as short as a history needs it."""

    item_id: str
    kind: Kind
    ts_ms: int
    rating: float | None = None


class Example(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of the topic `examples`: an event, and the user's history strictly before it.

    `partition` and `offset` are the event's place in `events`. They grow along every partition,
    so the learner recognises an example that it has already learnt by comparing two numbers.
    `seen` are the codes (`stream.seen`) of older items, which the history no longer holds, one
    after the other and each once; the newest come last, and the oldest of very many are dropped. It
    is empty for an event that came so late that all kept steps are after it. `text` is a review's:
    its title, and what it says.
    """

    event_id: str
    user_id: str
    item_id: str
    kind: Kind
    ts_ms: int
    received_ms: int
    partition: int
    offset: int
    history: tuple[Step, ...]
    user_events: int
    rating: float | None = None
    seen: bytes = b""
    text: str = ""


Sentiment = Literal["negative", "neutral", "positive"]
"""What a review sounds like."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `readings`: what the words of a review say, whatever its stars.

    `rating` is from 1 to 5, as the words read; `stars` is what the shopper gave. `doubt` is from 0,
    sure, to 1, a guess. `partition` and `offset` are the review's place in `events`.
    """

    event_id: str
    user_id: str
    item_id: str
    ts_ms: int
    received_ms: int
    partition: int
    offset: int
    rating: float
    sentiment: Sentiment
    doubt: float
    stars: float | None = None
    tenant: Tenant = msgspec.UNSET


class InterestShift(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `interest-shifts`: whose interest moved, from where to where.

    `source` says where it shows: in what the user does, or in what their reviews praise. Of the
    latter, `divergence` is the evidence in nats, and `usual_divergence` what was asked of it.
    """

    user_id: str
    event_id: str
    ts_ms: int
    from_category: str
    to_category: str
    divergence: float
    usual_divergence: float
    user_events: int
    received_ms: int
    evidence: tuple[str, ...] = ()
    source: Literal["events", "reviews"] = "events"
    tenant: Tenant = msgspec.UNSET


class ProfileText(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `profiles`: a user in two or three sentences.

    Written at some of a user's first events and when their interest shifts; `because` says which of
    the two. Every number in `text` counts the user's events up to `event_id`, `user_events` in all.
    Of two records of a user, the one of more events is newer. A null value: the user is forgotten.
    """

    user_id: str
    text: str
    language: Literal["en", "zh"]
    because: Literal["events", "shift", "reviews"]
    event_id: str
    ts_ms: int
    user_events: int
    tenant: Tenant = msgspec.UNSET


class ItemVector(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `item-vectors`: a validated item and its text vector.

    `vector` holds little-endian float16, L2-normalised; it is empty for an item without text.
    `text_hash` tells whether the text changed since it was encoded; `encoder` names who did it.
    `description` is cut; it and `attributes` are kept where items are searched and asked about.
    """

    item_id: str
    vector: bytes
    encoder: str
    text_hash: str
    first_seen_ms: int
    title: str = ""
    category: tuple[str, ...] = ()
    brand: str = ""
    price: float | None = None
    available: bool = True
    description: str = ""
    attributes: dict[str, AttributeValue] = {}
    kind: ItemKind = "product"
    bid: float | None = None
    budget: float | None = None
    gtin: str = ""


class AdapterVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `adapters`: a model version and what it has learnt.

    `offsets` maps each partition of `events` to the next offset that it has not learnt.
    """

    model: str
    version: int
    path: str
    sha256: str
    parent: int | None
    offsets: dict[str, int]
    learnt: int
    created_ms: int
    loss: float | None = None
    ndcg10: float | None = None
    ndcg10_popularity: float | None = None
    status: Literal["live", "rolled-back"] = "live"


class AdShown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an ad's place was worth: its probability of a click, and the price of being shown.

    The price is what the next best ad would have been worth here, or the reserve: it is never more
    than `probability` times the ad's bid.
    """

    probability: float
    price: float


class Because(msgspec.Struct, frozen=True, gc=False):
    """An event of the user that an item is recommended for: without it, the score is lower."""

    item_id: str
    kind: Kind
    ts_ms: int


class RecommendedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a list, with the reason that a shopper can read.

    `because` are the events that the reason rests on, newest first; none where it rests on nothing
    that the user did.
    `text` is a sentence about the item, where `serving.sentences` is on: nothing in it that the
    item's record, its reviews or the reason don't say.
    """

    item_id: str
    score: float
    title: str = ""
    reason: str = ""
    because_item: str | None = None
    because: tuple[Because, ...] | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    ad: AdShown | msgspec.UnsetType = msgspec.UNSET


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer's time went, in milliseconds; shared by all answers of a micro-batch."""

    features_ms: float
    score_ms: float
    total_ms: float


AnswerPath = Literal["model", "cold_user", "no_model", "empty_catalogue", "expired", "answer"]
"""Which way an answer was made: the whole model, without a history, without a model, or empty.

`expired` is an empty answer to a request that waited too long for a list; `answer` one to a
question that asks for no list.
"""


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """A category or brand, and how many of the found items have it."""

    value: str
    count: int


class Searched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a search did: part of a record of `recommendations` that answers a `query`.

    `query` is what was searched, `corrected_from` what the shopper wrote where that was another
    spelling. `total` counts the items with all words of the query, or where there are none, those
    with some. `chances` says how likely each place was thought to be looked at: what a click is
    weighed by. `weights` and `described` explain the order: what counts how much, and what of it
    each item has. With `suggest`, nothing was searched: the query was only completed.
    """

    query: str
    corrected_from: str | None = None
    total: int = 0
    facets: dict[str, tuple[FacetValue, ...]] = {}
    suggest: bool = False
    suggestions: tuple[str, ...] = ()
    chances: tuple[float, ...] = ()
    weights: dict[str, float] = {}
    described: tuple[dict[str, float], ...] = ()


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic `recommendations`.

    `seen_event_id` is the newest event of the user that the answer takes into account;
    `trigger` says whether it was asked for or pushed after that event.
    """

    recommendation_id: str
    request_id: str | None
    user_id: str
    ts_ms: int
    items: tuple[RecommendedItem, ...]
    path: AnswerPath
    model_version: int | None
    trigger: Literal["request", "event"] = "request"
    surface: str = "home"
    variant: str = "model"
    seen_event_id: str | None = None
    timings: Timings | None = None
    tenant: Tenant = msgspec.UNSET
    search: Searched | msgspec.UnsetType = msgspec.UNSET
    answer: Answer | msgspec.UnsetType = msgspec.UNSET


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A record of the topic `outcomes`: what became of one shown item, as soon as it is known.

    A click, a cart or a purchase is told at once; `final` says that nothing more will be told of
    this item of this list. `place` counts from 1. A record may come twice after a crash:
    `recommendation_id`, `item_id` and what is told are the same then. `propensity` is the chance
    that the item had of this place, where it was drawn.
    """

    recommendation_id: str
    user_id: str
    item_id: str
    place: int
    places: int
    surface: str
    score: float
    shown_ms: int
    tenant: Tenant = ""
    variant: str = "model"
    model_version: int | None = None
    propensity: float | None = None
    clicked_ms: int | None = None
    carted_ms: int | None = None
    bought_ms: int | None = None
    price: float | None = None
    quantity: int = 1
    final: bool = False

    @property
    def taken(self) -> bool:
        """Whether the shopper clicked the item, or went further."""
        return (self.clicked_ms, self.carted_ms, self.bought_ms) != (None, None, None)


class AdSpend(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `ad-spending`: what an ad has spent on a day.

    `day` counts from 1970 in UTC. Each partition of `requests` has a figure of its own; their sum
    is what is held against the ad's budget. `item_id` carries its tenant.
    """

    item_id: str
    partition: int
    day: int
    spent: float


class WaitingClick(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A click that is learnt once it is known what was passed over beside it."""

    shown_ms: int
    surface: str
    score: float
    place: int


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the compacted topic `calibrations`: what scores are worth, on each surface.

    `arrays` are weights and curvature as safetensors, named `<surface>/<array>`; `offsets` maps
    each partition of `outcomes` to the next offset that is not in them; `errors` is each surface's
    expected calibration error, of what was predicted before it was learnt.
    """

    tenant: Tenant = msgspec.UNSET
    arrays: bytes
    offsets: dict[str, int]
    shown: int
    created_ms: int
    errors: dict[str, float] = {}
    waiting: tuple[WaitingClick, ...] = ()


# Decoders and encoders -------------------------------------------------------------------------

json_encode = msgspec.json.Encoder().encode
json_encode_lines = msgspec.json.Encoder().encode_lines
msgpack_encode = msgspec.msgpack.Encoder().encode

decode_forget = msgspec.json.Decoder(Forget).decode
event_decoder = msgspec.json.Decoder(Event)
decode_event = event_decoder.decode
decode_example = msgspec.msgpack.Decoder(Example).decode
decode_reading = msgspec.json.Decoder(Reading).decode
decode_shift = msgspec.json.Decoder(InterestShift).decode
decode_profile_text = msgspec.json.Decoder(ProfileText).decode
decode_item_vector = msgspec.msgpack.Decoder(ItemVector).decode
decode_adapter = msgspec.json.Decoder(AdapterVersion).decode
decode_recommendation = msgspec.json.Decoder(Recommendation).decode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_calibrated = msgspec.msgpack.Decoder(Calibrated).decode
decode_ad_spend = msgspec.json.Decoder(AdSpend).decode
decode_choice = msgspec.json.Decoder(Choice).decode
decode_identity = msgspec.json.Decoder(Identity).decode
