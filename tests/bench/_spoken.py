"""How often a generator may speak, and whether a changed word in a true sentence is noticed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from learner.texts.checker import passes
from learner.texts.config import TextsConfig
from learner.texts.facts import Facts, facts_of
from learner.texts.generator import Generator
from learner.texts.speaker import Speaker, cased
from learner.texts.templates import template
from stream.shop_catalogue import Catalogue

DRAFTS = 4
SHOP_ITEMS = 700
SHOP_PASSES = 4
SHOP_BATCH = 8
MATERIALS = ("iron", "steel", "oak", "leather", "cotton", "silk", "plastic", "glass", "bamboo")
REASONS = ("popular now", "new", "because you bought Red wool hat", "you viewed this before", "")


class Spoken(NamedTuple):
    """What became of a generator's drafts.

    Attributes
    ----------
    items
        How many were to be described.
    held, free
        The share of them for which one of four drafts was let through: drafts held to the facts'
        words, and drafts without that.
    held_drafts, free_drafts
        The share of drafts that were let through.
    seconds
        Processor time for a held sentence.
    examples
        Some that were let through.
    """

    row: str
    items: int
    held: float
    free: float
    held_drafts: float
    free_drafts: float
    seconds: float
    examples: list[str]


class Changed(NamedTuple):
    """True sentences with one word changed, and how many of them were noticed."""

    row: str
    true: int
    let_through: int
    changed: int
    noticed: int


class Speed(NamedTuple):
    """Microseconds for a template, and for a check; of facts seen before, and of new ones."""

    row: str
    template_us: float
    check_us: float
    check_new_us: float


def spoken(
    generator: Generator, newest: Sequence[Facts], music: Sequence[Facts], count: int, seed: int
) -> Iterator[Spoken | Changed | Speed]:
    """Drafts about three kinds of items, then changed words, then speed."""
    draws = Random(seed)
    yield _speak(
        "musical instruments, without titles", generator, draws.sample(list(newest), count)
    )
    titled = [one for one in dict.fromkeys(music) if one.title and one.sentences]
    yield _speak("digital music", generator, draws.sample(titled, min(count, len(titled))))
    wares = Catalogue(Random(seed), SHOP_ITEMS).wares
    facts = [_with_reason(facts_of(ware.item), draws) for ware in wares]
    config = TextsConfig(model=generator.config.model, device="cpu", rank=generator.config.rank)
    writer = Generator(config, seed)
    learnt = facts[count:]
    for _ in range(SHOP_PASSES):
        draws.shuffle(learnt)
        for begin in range(0, len(learnt), SHOP_BATCH):
            part = learnt[begin : begin + SHOP_BATCH]
            writer.learn(part, [draws.choice(one.sentences) for one in part])
    yield _speak("simulated shop, learnt its descriptions", writer, facts[:count])
    yield _changes(facts, draws)
    yield _speed(facts)


def _with_reason(facts: Facts, draws: Random) -> Facts:
    return msgspec.structs.replace(facts, reason=draws.choice(REASONS), said=("sturdy", "easy"))


def _speak(name: str, generator: Generator, facts: Sequence[Facts]) -> Spoken:
    shares: dict[bool, tuple[float, float]] = {}
    examples: list[str] = []
    seconds = 0.0
    for held in (True, False):
        items = drafts = through = 0
        for one in facts:
            began = time.process_time()
            written = [cased(text, one) for text in generator.write([one], DRAFTS, held=held)[0]]
            good = [text for text in written if passes(text, one)]
            seconds += (time.process_time() - began) * held
            items += bool(good)
            drafts += len(written)
            through += len(good)
            if held:
                examples += good[:1]
        shares[held] = items / len(facts), through / max(1, drafts)
    return Spoken(
        row=name,
        items=len(facts),
        held=shares[True][0],
        free=shares[False][0],
        held_drafts=shares[True][1],
        free_drafts=shares[False][1],
        seconds=seconds / len(facts),
        examples=examples[:5],
    )


def true_sentences(facts: Facts) -> list[str]:
    """Sentences that the facts support, made of their own words."""
    said = [template(facts), *facts.sentences]
    said.append(f"{facts.title} from {facts.brand} for {facts.price:.2f}.")
    words = facts.title.split()
    return [*said, f"A {' '.join(words[1:])} by {facts.brand}."]


def changed(sentence: str, facts: Facts, brands: Sequence[str], draws: Random) -> list[str]:
    """The sentence with a number, the brand or a word changed, or something added."""
    words = sentence.rstrip(".").split()
    found = []
    at = draws.randrange(len(words))
    brand = draws.choice([b for b in brands if b.split()[0] not in " ".join(_known(facts))])
    material = draws.choice([m for m in MATERIALS if m not in " ".join(_known(facts)).lower()])
    if facts.brand in sentence:
        found.append(sentence.replace(facts.brand, brand))
    for place, word in enumerate(words):
        if any(c.isdigit() for c in word):
            other = "".join(str((int(c) + 1) % 10) if c.isdigit() else c for c in word)
            found.append(" ".join([*words[:place], other, *words[place + 1 :]]) + ".")
    for extra in (material, str(draws.randrange(2, 999)), "not", "best", "cheaper", "only"):
        found.append(" ".join([*words[:at], extra, *words[at:]]) + ".")
    found.append(" ".join([*words[:at], material, *words[at + 1 :]]) + ".")
    return found


def _known(facts: Facts) -> list[str]:
    return [facts.title, facts.brand, *facts.category, *facts.sentences, facts.reason]


def _changes(items: Sequence[Facts], draws: Random) -> Changed:
    brands = sorted({facts.brand for facts in items})
    true = through = count = noticed = 0
    for facts in items:
        for sentence in true_sentences(facts):
            true += 1
            if not passes(sentence, facts):
                continue
            through += 1
            for lie in changed(sentence, facts, brands, draws):
                count += 1
                noticed += not passes(lie, facts)
    return Changed("changed words", true, through, count, noticed)


def _speed(items: Sequence[Facts]) -> Speed:
    speaker = Speaker()
    said = speaker.sentences(items)
    times = []
    for work in (
        lambda: speaker.sentences(items),
        lambda: [passes(text, items[0]) for text in said],
        lambda: [passes(text, facts) for text, facts in zip(said, items, strict=True)],
    ):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) / len(items) * 1e6)
    return Speed("speed", *times)
