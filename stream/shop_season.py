"""A season of the simulated shop: from one event to the next, what is wanted is something else.

Two things change at once, as when the first cold day comes or a sale begins. What is famous is
drawn anew, for all items. And with their next visit most shoppers turn to another main interest;
whoever is in the shop at that moment finishes the visit first. Which shelves are wanted is drawn
anew too: a season has its favourites.
"""

from __future__ import annotations

from random import Random

from stream.shop_catalogue import Catalogue
from stream.shop_shoppers import Shopper, shelf_fame


class Season:
    """A season that begins now.

    Parameters
    ----------
    share
        How many of the shoppers it moves, from 0 to 1.

    Examples
    --------
    >>> from stream.shop_shoppers import make_shoppers
    >>> rng = Random(7)
    >>> catalogue, shoppers = Catalogue(rng, items=200), make_shoppers(rng, 100)
    >>> famous = catalogue.famous(10)
    >>> season = Season(rng, catalogue, share=0.8)
    >>> len(set(famous) & set(catalogue.famous(10)))
    0
    >>> sum(season.moves(rng, shopper) for shopper in shoppers)
    85
    >>> any(season.moves(rng, shopper) for shopper in shoppers)
    False
    """

    def __init__(self, rng: Random, catalogue: Catalogue, share: float) -> None:
        self.fame = shelf_fame(rng)
        """How much each shelf is wanted by those who move."""
        self._share = share
        self._asked: set[str] = set()
        catalogue.redraw_fame()

    def moves(self, rng: Random, shopper: Shopper) -> bool:
        """Whether the season moves a shopper who comes in; each is asked once."""
        if shopper.user_id in self._asked:
            return False
        self._asked.add(shopper.user_id)
        return rng.random() < self._share
