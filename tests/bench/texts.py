"""Sentences about items: what reviews cost a generator, and how often it may speak.

A tiny base learns reviews of other shops (Amazon's devices, digital music). Then reviews of musical
instruments come in time order: the adapter learns the first part in small batches, each review told
the words of its item's earlier ones. What it costs to foretell the last part is told in nats per
word and per word piece, beside the base without adapter and an interpolated Kneser-Ney trigram of
the same pieces. Then drafts are written and checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from learner.texts.config import TextsConfig
from learner.texts.facts import Facts, facts_of
from learner.texts.generator import Generator, Nll
from learner.texts.hearing import Hearing
from learner.texts.kneser_ney import KneserNey
from learner.texts.tiny import Tiny, make_tiny
from stream.events import Item, json_encode
from tests.bench._spoken import spoken

BATCH = 8
WORDS = 40
"""Of a review, so many words are learnt and foretold."""

LAST = 0.2
"""The share of the newest reviews that is held out."""


class Told(NamedTuple):
    """Texts, each with the facts that were known before it."""

    facts: list[Facts]
    texts: list[str]

    @property
    def words(self) -> int:
        return sum(len(text.split()) for text in self.texts)

    def part(self, begin: int, end: int | None = None) -> Told:
        return Told(self.facts[begin:end], self.texts[begin:end])


class Cost(NamedTuple):
    """Nats of texts, by word and by word piece."""

    per_word: float
    per_piece: float


def read(folder: Path, name: str, most: int) -> Told:
    """A data set's reviews in time order, each with what was known of its item before."""
    import pandas as pd  # noqa: PLC0415 - only for this

    items = pd.read_parquet(folder / name / "items.parquet")
    fields = {
        row.item_id: Item(
            item_id=row.item_id,
            title=row.title or "",
            description=row.description or "",
            category=tuple((row.category or "").split(",")),
            brand=row.brand or "",
            price=None if row.price != row.price else row.price,  # noqa: PLR0124 - not a number
        )
        for row in items.itertuples()
    }
    hearing = Hearing()
    told = Told([], [])
    events = pd.read_parquet(folder / name / "events.parquet")
    for row in events[events.text.str.len() > 0].iloc[:most].itertuples():
        item = fields.get(row.item_id, Item(item_id=row.item_id))
        told.facts.append(facts_of(item, heard=hearing.heard(row.item_id)))
        told.texts.append(" ".join(row.text.split()[:WORDS]))
        hearing.hear(row.item_id, row.user_id, row.text)
    return told


def cost(found: Sequence[Nll], told: Told) -> Cost:
    nats, pieces = sum(one.nats for one in found), sum(one.pieces for one in found)
    return Cost(nats / told.words, nats / pieces)


def foretold(generator: Generator, told: Told, *, learn: bool = False) -> Cost:
    """What texts cost, each small batch before it is learnt if it is."""
    found = []
    for begin in range(0, len(told.texts), BATCH):
        part = told.part(begin, begin + BATCH)
        step = generator.learn if learn else generator.nll
        found.append(step(part.facts, part.texts))
    return cost(found, told)


def counted(
    generator: Generator, learnt: Sequence[Told], told: Told, *, going_on: bool = False
) -> Cost:
    """The same of a trigram model that has counted some texts."""
    model = KneserNey(generator.pieces.count)
    for one in learnt:
        model.learn(map(generator.pieces.said, one.texts))
    found = []
    for begin in range(0, len(told.texts), BATCH):
        rows = [generator.pieces.said(text) for text in told.part(begin, begin + BATCH).texts]
        found += [Nll(model.nll(row), len(row)) for row in rows]
        if going_on:
            model.learn(rows)
    return cost(found, told)


def measure(
    data: Path, folder: Path, size: float, seed: int, config: TextsConfig
) -> dict[str, object]:
    """All figures."""
    devices = read(data, "amazon_devices_datafiniti", round(8_000 * size))
    music = read(data, "amazon_digital_music_2014_head", round(5_000 * size))
    shop = read(data, "amazon_musical_instruments_2014", round(10_261 * size))
    base = Told(devices.facts + music.facts, devices.texts + music.texts)
    if not (folder / "model.safetensors").exists():
        make_tiny(base.facts, base.texts, folder, shape=Tiny(), seed=seed, tell=_tell)
    generator = Generator(
        TextsConfig(model=str(folder), device="cpu", rank=config.rank, rate=config.rate), seed
    )
    cut = round(len(shop.texts) * (1 - LAST))
    first, last = shop.part(0, cut), shop.part(cut)
    rows: dict[str, Cost] = {"base alone": foretold(generator, last)}
    rows["adapter, its first part as it learns"] = foretold(generator, first, learn=True)
    rows["adapter"] = foretold(generator, last)
    blind = Told([Facts() for _ in last.facts], last.texts)
    rows["adapter, told no facts"] = foretold(generator, blind)
    with generator.without_adapter():
        rows["adapter switched off"] = foretold(generator, last)
    rows["trigram of the base's texts"] = counted(generator, [base], last)
    rows["trigram of the first part"] = counted(generator, [first], last)
    rows["trigram of both"] = counted(generator, [base, first], last)
    rows["trigram of both, counting on"] = counted(generator, [base, first], last, going_on=True)
    for name, one in rows.items():
        _say({"row": name, "nats_per_word": one.per_word, "nats_per_piece": one.per_piece})
    for spoke in spoken(generator, last.facts, music.facts, max(8, round(60 * size)), seed):
        _say(spoke._asdict())
    rows["adapter, learning on"] = foretold(generator, last, learn=True)
    one = rows["adapter, learning on"]
    _say(
        {
            "row": "adapter, learning on",
            "nats_per_word": one.per_word,
            "nats_per_piece": one.per_piece,
        }
    )
    return {"reviews": len(shop.texts), "held out": len(last.texts), "words": last.words}


def main(arguments: Sequence[str]) -> None:
    """Print a line of JSON for each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=0.4, help="share of the reviews")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="make the base in this folder, or take it from there"
    )
    parser.add_argument("--rank", type=int, default=TextsConfig().rank)
    parser.add_argument("--rate", type=float, default=TextsConfig().rate)
    asked = parser.parse_args(arguments)
    data = os.environ.get("TIDEMILL_DATA")
    if not data:
        message = "set TIDEMILL_DATA to the folder that holds the recorded logs"
        raise SystemExit(message)
    torch.set_num_threads(1)
    began = time.process_time()
    config = TextsConfig(rank=asked.rank, rate=asked.rate)
    with TemporaryDirectory(prefix="tidemill-texts-") as scratch:
        folder = asked.keep or Path(scratch)
        line = measure(Path(data), folder, asked.size, asked.seed, config)
    _say(line | {"processor_s": round(time.process_time() - began)})


def _tell(step: int, steps: int, loss: float) -> None:
    if step % 50 == 0 or step == steps:
        sys.stderr.write(f"\r\x1b[Kbase: step {step} of {steps}, {loss:.3f} nats per piece")
        sys.stderr.flush()


def _say(line: dict[str, object]) -> None:
    shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
    sys.stdout.write(json_encode(shown).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
