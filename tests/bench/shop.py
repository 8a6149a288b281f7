"""The learner on the simulated shop, from its first event on, beside what needs no learning.

Every event is ranked by what was known before its micro-batch, the learner's and the baselines'
alike; each family of baselines is judged by its best member. Items are announced with their texts.
`cold_hr10`: how often `online` lists the item of an event that is the first of its item.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec
import numpy as np
import torch

from features.catalog import Catalog
from learner.catalogue import Encodes, catalogue_of
from learner.config import EncoderConfig, LearnerConfig
from learner.encoder import TextEncoder
from learner.evaluation_log import Protocol
from learner.prequential import Evaluation, evaluate
from stream.events import Event, json_encode
from stream.shop import Shop, ShopConfig
from stream.shop_words import Language

ROWS = ("popularity", "covisitation", "blend", "prior", "stacking", "no-transformer", "online")

BATCH = 32
"""Events learnt together: what the shop's twenty events a second make of half a second's wait,
times three. The demo learns in smaller steps, a busy shop in larger ones."""


def shop_log(seed: int, events: int, language: Language = "en") -> tuple[list[Event], Shop]:
    """The first clean events of a shop, and the shop after them."""
    shop = Shop(seed, ShopConfig(language=language))
    return shop.clean_events(events), shop


def shop_catalogue(shop: Shop, encoder: Encodes, width: int) -> Catalog:
    """All items of a shop, those that are sold out too."""
    items = [msgspec.structs.replace(item, available=True) for item in shop.items()]
    return catalogue_of(items, encoder, width)


def measure(
    seed: int,
    events: int,
    encoder: Encodes,
    config: LearnerConfig,
    *,
    rows: Sequence[str] = ROWS,
    batch: int = BATCH,
    language: Language = "en",
) -> Evaluation:
    """Play one shop's first events to the learner and to the baselines."""
    log, shop = shop_log(seed, events, language)
    catalog = shop_catalogue(shop, encoder, config.encoder.width)
    config = msgspec.structs.replace(config, seed=seed)
    return evaluate(log, catalog, rows, protocol=Protocol(history=0.0, batch=batch), config=config)


def cold_hr10(events: Sequence[Event], found: Evaluation) -> float:
    """HR@10 of `online` at items that nobody had before."""
    ids = np.array([event.item_id for event in events])
    first = np.unique(ids, return_index=True)[1]
    return float((found.gains["online"][first] > 0).mean())


def main(arguments: Sequence[str]) -> None:
    """Print a line for each seed, then their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = LearnerConfig(device="cpu")
    encoder = TextEncoder(EncoderConfig(device="cpu"))
    lines: list[dict[str, float]] = []
    for seed in asked.seeds:
        began = time.perf_counter()
        found = measure(
            seed,
            asked.events,
            encoder,
            config,
            rows=asked.rows,
            batch=asked.batch,
            language=asked.language,
        )
        ndcg10 = {row.model: round(row.ndcg10, 4) for row in found.rows}
        seconds = round(time.perf_counter() - began, 1)
        if "online" in asked.rows:
            events, _ = shop_log(seed, asked.events, asked.language)
            ndcg10["cold_hr10"] = round(cold_hr10(events, found), 4)
        _say(asked.json, {"seed": seed, "events": asked.events} | ndcg10, seconds)
        lines.append(ndcg10)
    mean = {name: round(sum(ndcg10[name] for ndcg10 in lines) / len(lines), 4) for name in lines[0]}
    _say(asked.json, {"seed": "mean", "events": asked.events} | mean, None)


def _say(as_json: bool, line: dict[str, object], seconds: float | None) -> None:
    if seconds is not None:
        line["seconds"] = seconds
    text = json_encode(line).decode() if as_json else "  ".join(f"{k} {v}" for k, v in line.items())
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
