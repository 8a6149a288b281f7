"""Ads: which of them is shown in a place, and what that costs. Pure.

An ad is worth its probability of a click times its bid. The best one wins a place and pays what the
next best would have been worth there, or the reserve: a second price, so that to bid what a click
is worth is the best an advertiser can do in one place [1]_. What a show costs is known when it is
shown, not when it is clicked, so that no budget waits for clicks.

Not every ad may bid. One that has spent its budget may not, nor one that is ahead of its budget's
even course through the day: until then it leaves the places to others, so that its money lasts.
Each is exceeded by less than one price. A user is shown one ad only so often a day.

Days are those of UTC.

.. [1] Vickrey, "Counterspeculation, auctions, and competitive sealed tenders", 1961; for several
   places in a row it is the generalised second price of Edelman, Ostrovsky & Schwarz, 2007.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000

Floats = NDArray[np.float64]


class Ad(NamedTuple):
    """An ad that could be shown to a user.

    Attributes
    ----------
    bid, budget
        What a click is worth, and what a day may cost; without a budget it has no end.
    score
        Of the user's list: what the model thinks.
    """

    item_id: str
    bid: float
    budget: float | None
    score: float


class Won(NamedTuple):
    """An ad that is shown in a place, which counts from 1."""

    item_id: str
    place: int
    probability: float
    price: float
    score: float


class Ledger:
    """What each ad has spent today, by partition of the requests that it was shown for.

    A partition has one owner, whose figures only rise within a day. So of two figures of one
    partition the higher one is newer, and whoever knows them all knows what is spent everywhere.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.charge(0, "soap", 3.0, now_ms=0), ledger.charge(1, "soap", 2.0, now_ms=0)
    (None, None)
    >>> ledger.spent("soap", 0), ledger.changes()
    (5.0, [(0, 'soap', 0, 3.0), (1, 'soap', 0, 2.0)])
    >>> ledger.hear(2, "soap", 0, 4.0), ledger.hear(2, "soap", 0, 3.0), ledger.spent("soap", 0)
    (None, None, 9.0)
    >>> ledger.spent("soap", DAY_MS)
    0.0
    """

    def __init__(self) -> None:
        self._day = -1
        self._spent: dict[str, dict[int, float]] = {}
        self._changed: set[tuple[int, str]] = set()

    def spent(self, item_id: str, now_ms: int) -> float:
        """What an ad has spent today, as far as that is known here."""
        self._turn(now_ms // DAY_MS)
        return sum(self._spent.get(item_id, {}).values(), start=0.0)

    def charge(self, partition: int, item_id: str, price: float, now_ms: int) -> None:
        """Take note of a show; a negative price takes one back."""
        self._turn(now_ms // DAY_MS)
        of = self._spent.setdefault(item_id, {})
        of[partition] = max(0.0, of.get(partition, 0.0) + price)
        self._changed.add((partition, item_id))

    def hear(self, partition: int, item_id: str, day: int, spent: float) -> None:
        """Take what a partition's owner said of an ad."""
        if day < self._day:
            return
        self._turn(day)
        of = self._spent.setdefault(item_id, {})
        of[partition] = max(spent, of.get(partition, 0.0))

    def changes(self) -> list[tuple[int, str, int, float]]:
        """Partition, ad, day and what is spent, of all that was charged since `out`."""
        return [
            (partition, item_id, self._day, self._spent[item_id][partition])
            for partition, item_id in sorted(self._changed)
        ]

    def out(self) -> None:
        """Take note that what was charged is known to others."""
        self._changed.clear()

    def _turn(self, day: int) -> None:
        if day > self._day:
            self._day = day
            self._spent.clear()
            self._changed.clear()


class Caps:
    """How often each user was shown each ad today: of the newest users alone.

    >>> caps = Caps(most=2, users=10)
    >>> [caps.take("ann", "soap", 0) for _ in range(3)], caps.take("ann", "soap", DAY_MS)
    ([True, True, False], True)
    """

    def __init__(self, most: int, users: int = 100_000) -> None:
        self.most = most
        self._users = users
        self._shown: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._day = -1

    def allows(self, user_id: str, item_id: str, now_ms: int) -> bool:
        """Whether a user may be shown an ad once more."""
        if now_ms // DAY_MS > self._day:
            self._day = now_ms // DAY_MS
            self._shown.clear()
        return self._shown.get(user_id, {}).get(item_id, 0) < self.most

    def take(self, user_id: str, item_id: str, now_ms: int) -> bool:
        """Count a show; false where there were too many. Of nobody, nothing is kept."""
        if not user_id:
            return True
        if not self.allows(user_id, item_id, now_ms):
            return False
        of = self._shown.setdefault(user_id, {})
        self._shown.move_to_end(user_id)
        of[item_id] = of.get(item_id, 0) + 1
        while len(self._shown) > self._users:
            self._shown.popitem(last=False)
        return True

    def take_back(self, user_id: str, item_id: str) -> None:
        """Count a show less: it didn't happen."""
        of = self._shown.get(user_id, {})
        of[item_id] = max(0, of.get(item_id, 0) - 1)

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop users who are to be forgotten, whenever they were shown anything."""
        for user_id in [one for one in self._shown if covers(one, 0)]:
            del self._shown[user_id]


def may_bid(ad: Ad, spent: float, now_ms: int) -> bool:
    """Whether an ad's money may go on: it is not spent, and not ahead of the day.

    >>> soap, noon = Ad("soap", 1.0, 100.0, 0.0), DAY_MS // 2
    >>> may_bid(soap, 49.9, noon), may_bid(soap, 50.0, noon), may_bid(soap, 50.0, noon + 3_600_000)
    (True, False, True)
    """
    if ad.bid <= 0:
        return False
    return ad.budget is None or spent < ad.budget * (now_ms % DAY_MS) / DAY_MS


def auction(
    ads: Sequence[Ad],
    places: Sequence[int],
    clicks: Callable[[Floats, NDArray[np.int64]], Floats],
    reserve: float,
) -> list[Won]:
    """Give places to ads, the best to the first; each pays what the next would be worth there.

    Parameters
    ----------
    places
        From 1, in the order in which they are given.
    clicks
        Probability of a click by score and place.
    reserve
        What a show must be worth at least.

    Examples
    --------
    >>> ads = [Ad("soap", 2.0, None, 1.0), Ad("comb", 3.0, None, 0.0), Ad("brush", 0.1, None, 2.0)]
    >>> won = auction(ads, [1, 5], lambda score, place: 0.1 + 0 * score, reserve=0.05)
    >>> [(one.item_id, one.place, round(one.price, 2)) for one in won]
    [('comb', 1, 0.2), ('soap', 5, 0.05)]
    """
    left = list(ads)
    won: list[Won] = []
    for place in places:
        if not left:
            break
        score_N = np.array([ad.score for ad in left])
        chance_N = clicks(score_N, np.full(len(left), place))
        worth_N = chance_N * np.array([ad.bid for ad in left])
        order = np.argsort(-worth_N, kind="stable")
        best = int(order[0])
        if worth_N[best] < reserve or worth_N[best] <= 0:
            break
        next_worth = float(worth_N[order[1]]) if len(left) > 1 else 0.0
        price = min(max(next_worth, reserve), float(worth_N[best]))
        ad = left.pop(best)
        won.append(Won(ad.item_id, place, float(chance_N[best]), price, ad.score))
    return won


class Desk:
    """Where ads are sold: who may bid for a list's places, who wins, and who pays.

    Parameters
    ----------
    clicks
        Of a surface: the probability of a click by score and place.
    reserve
        What a show must be worth at least, in the shop's money.
    """

    def __init__(
        self,
        clicks: Callable[[str], Callable[[Floats, NDArray[np.int64]], Floats]],
        reserve: float,
        per_user: int,
    ) -> None:
        self.ledger = Ledger()
        self.caps = Caps(per_user)
        self._clicks = clicks
        self._reserve = reserve
        self._sold: dict[str, tuple[str, int, list[Won]]] = {}

    def sell(
        self,
        key: str,
        user_id: str,
        surface: str,
        ads: Sequence[Ad],
        places: Sequence[int],
        *,
        now_ms: int,
    ) -> list[Won]:
        """Sell places of the list whose `recommendation_id` is `key`: `…-<partition>-<offset>`.

        A list that is made again before it is out sells its places anew.
        """
        self._take_back(key, now_ms)
        partition = int(key.rsplit("-", 2)[-2])
        open_to = [
            ad
            for ad in ads
            if may_bid(ad, self.ledger.spent(ad.item_id, now_ms), now_ms)
            and self.caps.allows(user_id, ad.item_id, now_ms)
        ]
        won = auction(open_to, places, self._clicks(surface), self._reserve)
        for one in won:
            self.ledger.charge(partition, one.item_id, one.price, now_ms)
            self.caps.take(user_id, one.item_id, now_ms)
        self._sold[key] = (user_id, partition, won)
        return won

    def sold(self) -> list[Won]:
        """All places that are sold in lists that aren't out yet."""
        return [one for _, _, won in self._sold.values() for one in won]

    def out(self) -> None:
        """Take note that all lists and what they cost are out."""
        self._sold.clear()
        self.ledger.out()

    def give_up(self, now_ms: int) -> None:
        """Take all back that isn't out: the lists are another process's to make."""
        for key in list(self._sold):
            self._take_back(key, now_ms)
        self.ledger.out()

    def _take_back(self, key: str, now_ms: int) -> None:
        user_id, partition, won = self._sold.pop(key, ("", 0, []))
        for one in won:
            self.ledger.charge(partition, one.item_id, -one.price, now_ms)
            self.caps.take_back(user_id, one.item_id)
