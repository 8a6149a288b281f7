"""Attacks on what is learnt: what accounts that are paid for it send beside honest users' events.

An attack is drawn from a seed alone. Its events are spread evenly over the honest ones, and its
accounts act one after the other, so that profiles see what they would see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

import msgspec

from stream.events import Event, Kind

EVENTS_OF_A_FARM_ACCOUNT = 3
"""A fresh account is used up quickly: it is cheap, and it looks like a visitor."""


class Act(NamedTuple):
    """One event of an account that attacks."""

    user_id: str
    item_id: str
    kind: Kind = "click"
    rating: float | None = None


class Scene(NamedTuple):
    """What an attacker knows: the honest events so far, and what is to be pushed or buried."""

    seen: Sequence[Event]
    target: str

    def popular(self, most: int) -> list[str]:
        """The items taken most often."""
        return [item for item, _ in Counter(e.item_id for e in self.seen).most_common(most)]

    def before_target(self, most: int) -> list[str]:
        """What users most often took just before the target."""
        return [item for item, _ in self._moves(lambda old, new: new == self.target, 0, most)]

    def rivals(self, sources: Sequence[str], most: int) -> list[str]:
        """What users most often took just after the sources, the target aside."""
        own = {*sources, self.target}
        return [
            item for item, _ in self._moves(lambda old, new: old in own and new not in own, 1, most)
        ]

    def _moves(
        self, which: Callable[[str, str], bool], side: int, most: int
    ) -> list[tuple[str, int]]:
        by_user: dict[str, list[str]] = {}
        for event in self.seen:
            by_user.setdefault(event.user_id, []).append(event.item_id)
        moves = (move for items in by_user.values() for move in pairwise(items))
        return Counter(m[side] for m in moves if m[0] != m[1] and which(*m)).most_common(most)


Attack = Callable[[Scene, Random], Iterator[Act]]


def one_bot(scene: Scene, random: Random) -> Iterator[Act]:
    """One account that clicks the target, all the time."""
    while True:
        yield Act("bot", scene.target)


def hundred_bots(scene: Scene, random: Random) -> Iterator[Act]:
    """A hundred accounts that click the target in turn."""
    while True:
        for number in range(100):
            yield Act(f"bot-{number}", scene.target)


def click_farm(scene: Scene, random: Random) -> Iterator[Act]:
    """Fresh accounts without end; each clicks the target a few times and is thrown away."""
    for number in _numbers():
        for _ in range(EVENTS_OF_A_FARM_ACCOUNT):
            yield Act(f"farm-{number}", scene.target)


def single_clicks(scene: Scene, random: Random) -> Iterator[Act]:
    """Fresh accounts without end; each clicks the target once."""
    for number in _numbers():
        yield Act(f"farm-{number}", scene.target)


def led_on(scene: Scene, random: Random) -> Iterator[Act]:
    """Fresh accounts that come from what is popular to the target: it seems to follow from it."""
    popular = scene.popular(50)
    for number in _numbers():
        yield Act(f"farm-{number}", random.choice(popular))
        yield Act(f"farm-{number}", scene.target)


def sleepers(scene: Scene, random: Random) -> Iterator[Act]:
    """Accounts that take what honest users take for a while, and the target now and then."""
    for number in _numbers():
        for _ in range(4):
            for _ in range(3):
                yield Act(f"sleeper-{number}", random.choice(scene.seen).item_id)
            yield Act(f"sleeper-{number}", scene.target)


def one_star(scene: Scene, random: Random) -> Iterator[Act]:
    """Review bombing: fresh accounts that rate the target with one star."""
    for number in _numbers():
        yield Act(f"farm-{number}", scene.target, "review", 1.0)


def five_stars(scene: Scene, random: Random) -> Iterator[Act]:
    """Fresh accounts that praise the target."""
    for number in _numbers():
        yield Act(f"farm-{number}", scene.target, "review", 5.0)


def crowding(scene: Scene, random: Random) -> Iterator[Act]:
    """Bury the target: fresh accounts go from where it is found to its rivals, again and again."""
    sources = scene.before_target(10) or scene.popular(10)
    rivals = scene.rivals(sources, 15)
    for number in _numbers():
        yield Act(f"farm-{number}", random.choice(sources))
        for rival in random.sample(rivals, min(2, len(rivals))):
            yield Act(f"farm-{number}", rival)


def from_target(scene: Scene, random: Random) -> Iterator[Act]:
    """Bury the target: fresh accounts see it alone, so that nothing seems to go with it."""
    unlike = scene.popular(400)[50:]
    for number in _numbers():
        yield Act(f"farm-{number}", scene.target)
        yield Act(f"farm-{number}", random.choice(unlike))


def wanderer(scene: Scene, random: Random) -> Iterator[Act]:
    """One account that takes anything: pairs that mean nothing."""
    items = sorted({event.item_id for event in scene.seen})
    while True:
        yield Act("bot", random.choice(items))


PUSHING: dict[str, Attack] = {
    "one bot": one_bot,
    "100 bots": hundred_bots,
    "click farm": click_farm,
    "single clicks": single_clicks,
    "led on": led_on,
    "sleepers": sleepers,
    "one star": one_star,
    "five stars": five_stars,
}
BURYING: dict[str, Attack] = {"crowding": crowding, "from target": from_target}
ATTACKS: dict[str, Attack] = {**PUSHING, **BURYING, "wanderer": wanderer}


def attacked(
    honest: Sequence[Event], seen: Sequence[Event], name: str, target: str, share: float
) -> tuple[list[Event], list[bool]]:
    """Honest events with an attack's between them, such a share of all; and which are honest."""
    random = Random(f"{name} {share}")
    per_honest = share / (1.0 - share)
    acts = ATTACKS[name](Scene(seen, target), random)
    events: list[Event] = []
    is_honest: list[bool] = []
    due = 0.0
    for event in honest:
        events.append(event)
        is_honest.append(True)
        due += per_honest
        while due >= 1.0:
            act = next(acts)
            events.append(
                msgspec.structs.replace(
                    event,
                    event_id=f"{act.user_id}-{len(events)}",
                    user_id=act.user_id,
                    item_id=act.item_id,
                    kind=act.kind,
                    rating=act.rating,
                    session_id=None,
                )
            )
            is_honest.append(False)
            due -= 1.0
    return events, is_honest


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
