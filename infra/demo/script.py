"""What is played: a catalogue, and records in the order in which a shop would send them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from stream.clock import Clock
from stream.events import Recommendation
from stream.shop import Shop, ShopConfig


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
    """

    def __init__(self, seed: int, rate_per_s: float, clock: Clock) -> None:
        self.title = "the simulated shop"
        self._shop = Shop(
            seed, ShopConfig(start_ms=clock.now_ms(), mean_gap_ms=1000.0 / rate_per_s)
        )

    def items(self) -> Iterable[Line]:
        """The catalogue at opening."""
        return (Line(r.topic_kind, r.key, r.value) for r in self._shop.item_records())

    def lines(self) -> Iterator[Line]:
        """Whatever happens, without end."""
        return (Line(r.topic_kind, r.key, r.value) for r in self._shop.records())

    def see(self, recommendation: Recommendation) -> None:
        """Show it to its shopper."""
        self._shop.see(recommendation)
