"""What a shopper does in the shop: what leads from one item to the next, and to the till.

Of a visit's clicks some two in three stay on its shelf. The others follow accessories to another
shelf and go on from there, glance at the side interest, or look at what is famous.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from stream.events import Click, Purchase, Review
from stream.parse import TopicKind
from stream.shop_catalogue import Catalogue
from stream.shop_shoppers import Shopper

RECOMMENDED_SHARE = 0.35
"""How often a shopper who saw a recommendation with something wanted in it follows it."""

SIMILAR_SHARE, ACCESSORY_SHARE, FAMOUS_SHARE = 0.4, 0.15, 0.12
"""What leads to the next item; in all other cases the shopper looks along the visit's shelf."""

GLANCE_SHARE = 0.25
"""How often looking along a shelf turns to the side interest for a while."""

FAMOUS = 25

REVIEW_SHARE = 0.4
"""How often a shopper who owes a review writes it instead of looking further."""

REVIEWERS_SHARE = 0.5
"""How many buyers will write a review."""

VIEW_SHARE, CART_SHARE, BUY_SHARE = 0.6, 0.1, 0.6
"""Views and carts among the actions; how often what is in the cart is bought."""

SINGLE_SHARE = 0.85


MEAN_CLICKS, MEAN_LOOKS = 5.0, 1.0
"""How long a visit about the main interest, and one about anything else, goes on beyond its first
clicks."""


@dataclass
class Visit:
    """A shopper who is in the shop now, what the visit is about, and how much of it is left."""

    shopper: Shopper
    session_id: str
    shelf: int
    left: int
    ware: int | None = None
    buying: int | None = None

    @property
    def over(self) -> bool:
        """Whether the shopper leaves: never with something in the cart that is to be bought."""
        return self.left <= 0 and self.buying is None


def enter(rng: Random, shopper: Shopper, session_id: str) -> Visit:
    """Let a shopper come in: for the main interest, or for a short look at something else."""
    shelf = shopper.topic(rng)
    least, mean = (2, MEAN_CLICKS) if shelf == shopper.main else (1, MEAN_LOOKS)
    return Visit(shopper, session_id, shelf, least + int(rng.expovariate(1 / mean)))


def act(
    rng: Random, catalogue: Catalogue, visit: Visit, ts_ms: int, event_id: str
) -> tuple[TopicKind, Click | Purchase | Review]:
    """Let the shopper do the next thing, and say on which topic it is reported."""
    shopper = visit.shopper
    shopper.events += 1
    visit.left -= 1
    if visit.buying is not None:
        return "purchases", _buy(rng, catalogue, visit, ts_ms, event_id)
    if shopper.to_review and rng.random() < REVIEW_SHARE:
        return "reviews", _review(rng, catalogue, shopper, ts_ms, event_id)
    return "clicks", _click(rng, catalogue, visit, ts_ms, event_id)


def _click(rng: Random, catalogue: Catalogue, visit: Visit, ts_ms: int, event_id: str) -> Click:
    recommended = _follow_recommendation(rng, catalogue, visit.shopper)
    number = recommended[1] if recommended else next_ware(rng, catalogue, visit)
    visit.ware = number
    draw = rng.random()
    action: Literal["view", "click", "cart"] = "view" if draw < VIEW_SHARE else "click"
    if draw > 1 - CART_SHARE and number not in visit.shopper.owned:
        action = "cart"
        if rng.random() < BUY_SHARE:
            visit.buying = number
    return Click(
        user_id=visit.shopper.user_id,
        item_id=catalogue.wares[number].item.item_id,
        ts=ts_ms,
        action=action,
        event_id=event_id,
        recommendation_id=recommended[0] if recommended else None,
        session_id=visit.session_id,
    )


def _follow_recommendation(
    rng: Random, catalogue: Catalogue, shopper: Shopper
) -> tuple[str, int] | None:
    if shopper.shown is None or rng.random() >= RECOMMENDED_SHARE:
        return None
    recommendation_id, numbers = shopper.shown
    shopper.shown = None
    wanted = [number for number in numbers if shopper.wants(catalogue.wares[number])]
    if not wanted:
        return None
    return recommendation_id, wanted[min(len(wanted) - 1, int(rng.expovariate(0.7)))]


def next_ware(rng: Random, catalogue: Catalogue, visit: Visit) -> int:
    """Draw the item that a shopper looks at next, of those on sale.

    Who comes in has something in mind; what leads on, leads on from the item looked at last.
    """
    shopper = visit.shopper
    chosen, shelf = None, visit.shelf
    if visit.ware is not None:
        chosen = _led_on(rng, catalogue, visit, visit.ware)
        shelf = shopper.side if rng.random() < GLANCE_SHARE else visit.shelf
    if chosen is None:
        chosen = shopper.pick(rng, catalogue, catalogue.on_shelf[shelf])
    return chosen if chosen is not None else catalogue.famous(1)[0]


def _led_on(rng: Random, catalogue: Catalogue, visit: Visit, number: int) -> int | None:
    """Draw a look-alike, an accessory or something famous; often it is none of these."""
    ware, draw = catalogue.wares[number], rng.random()
    # Off the visit's shelf, look-alikes hold a shopper only half as well.
    similar_share = SIMILAR_SHARE if ware.shelf == visit.shelf else SIMILAR_SHARE / 2
    if draw < similar_share:
        ranks = range(len(ware.similar), 0, -1)
        likely = rng.choices(ware.similar, [rank * rank for rank in ranks])[0]
        return visit.shopper.pick(rng, catalogue, (likely,))
    if draw < similar_share + ACCESSORY_SHARE:
        return visit.shopper.pick(rng, catalogue, ware.accessories)
    if draw > 1 - FAMOUS_SHARE:
        famous = catalogue.famous(FAMOUS)
        return rng.choices(famous, [1 / (rank + 2) for rank in range(len(famous))])[0]
    return None


def _buy(rng: Random, catalogue: Catalogue, visit: Visit, ts_ms: int, event_id: str) -> Purchase:
    assert visit.buying is not None
    number, visit.buying = visit.buying, None
    visit.shopper.owned.add(number)
    if rng.random() < REVIEWERS_SHARE:
        visit.shopper.to_review.append(number)
    item = catalogue.wares[number].item
    return Purchase(
        user_id=visit.shopper.user_id,
        item_id=item.item_id,
        ts=ts_ms,
        quantity=1 if rng.random() < SINGLE_SHARE else 2,
        price=item.price,
        event_id=event_id,
        session_id=visit.session_id,
    )


def _review(
    rng: Random, catalogue: Catalogue, shopper: Shopper, ts_ms: int, event_id: str
) -> Review:
    ware = catalogue.wares[shopper.to_review.pop(0)]
    stars = shopper.stars(rng, ware)
    return Review(
        user_id=shopper.user_id,
        item_id=ware.item.item_id,
        ts=ts_ms,
        rating=float(stars),
        title=rng.choice(catalogue.words.headlines[stars]),
        text=rng.choice(catalogue.words.praise[stars]),
        event_id=event_id,
    )
