"""LightGBM on features that Tidemill exports, beside the same model without them.

    python examples/lightgbm_on_features.py                  the simulated shop, some minutes
    python examples/lightgbm_on_features.py --events 3000    smaller

The task: of a user's next item and nine that others took, find the next one. The model without
Tidemill's features knows the items (price, category, brand, how popular so far) and the hour. The
other one also knows the user as of just before the event, from `tidemill export features --for`:
counts, tastes, interest vectors and how near each item is to them. Both learn from the first 70 %
of the time and are judged on the rest, by NDCG@10 and how often the next item came first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interest import InterestConfig, ItemSpace, category_name
from infra.bench.profile_shop import WIDTH, ProfileShop
from infra.export_features import FEATURES, export_features
from infra.export_source import Source
from stream.events import Event, ItemVector
from stream.shop import ShopConfig

OTHERS = 9
"""Items beside the true one, drawn as often as others took them."""

NUMBERS = ("events", "purchases", "divergence", "shifts", "mean_rating")
"""Of a user's features, those that are columns as they are."""

TRAIN_SHARE = 0.7
SEED = 5

Matrix = NDArray[np.float64]


class Choice(NamedTuple):
    """A moment: a user's next item comes first, then items that others took."""

    user_id: str
    ts_ms: int
    items: tuple[str, ...]
    popularity: tuple[float, ...]


class Figures(NamedTuple):
    """How well one model finds the next item among ten."""

    ndcg10: float
    first: float


def main(arguments: Sequence[str] | None = None) -> dict[str, Figures]:
    """Make the shop, export, train twice, and say how well each does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--shoppers", type=int, default=400)
    parser.add_argument(
        "--choices", type=int, default=6_000, help="moments that are judged or learnt"
    )
    options = parser.parse_args(arguments)
    shop = ProfileShop(options.events, ShopConfig(items=600, shoppers=options.shoppers))
    catalog = Catalog(WIDTH)
    catalog.upsert(shop.items)
    choices = make_choices(shop.events, catalog, options.choices)
    with tempfile.TemporaryDirectory() as folder:
        features = exported(shop.events, catalog, choices, Path(folder))
    train = round(TRAIN_SHARE * len(choices))
    plain, more = item_columns(choices, catalog), user_columns(choices, catalog, features)
    found = {
        "without": judged(plain, train),
        "with": judged(np.concatenate([plain, more], axis=2), train),
    }
    print(json.dumps({name: figures._asdict() for name, figures in found.items()}))
    return found


def make_choices(events: Sequence[Event], catalog: Catalog, count: int) -> list[Choice]:
    """Moments spread evenly over the time, each with what was taken and nine others."""
    chance, taken, choices = Random(SEED), list[str](), list[Choice]()
    every = max(1, len(events) // count)
    counts: dict[str, int] = {}
    for n, event in enumerate(events):
        if n % every == 0 and len(taken) > 10 * OTHERS and catalog.row(event.item_id) >= 0:
            others: dict[str, None] = {}
            while len(others) < OTHERS:
                other = chance.choice(taken)
                if other != event.item_id:
                    others[other] = None
            items = (event.item_id, *others)
            popularity = tuple(counts.get(item, 0) / n for item in items)
            choices.append(Choice(event.user_id, event.ts_ms, items, popularity))
        if catalog.row(event.item_id) >= 0:
            taken.append(event.item_id)
            counts[event.item_id] = counts.get(event.item_id, 0) + 1
    return choices


def exported(
    events: Sequence[Event], catalog: Catalog, choices: Sequence[Choice], folder: Path
) -> pa.Table:
    """The users as of a millisecond before each moment, by `tidemill export features --for`."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    times = [epoch + timedelta(milliseconds=choice.ts_ms - 1) for choice in choices]
    wanted = pa.table(
        {
            "user_id": [choice.user_id for choice in choices],
            "as_of": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(wanted, folder / "wanted.parquet")
    source = Source(list(enumerate(events)), catalog)
    export_features(source, InterestConfig(), folder, wanted=folder / "wanted.parquet")
    return pq.read_table(folder / FEATURES)


def item_columns(choices: Sequence[Choice], catalog: Catalog) -> Matrix:
    """What is known without the user, (choices, items, columns)."""
    occurring = {item for choice in choices for item in choice.items}
    categories = _codes({_category(catalog, item) for item in occurring})
    brands = _codes({_item(catalog, item).brand for item in occurring})
    return np.array(
        [
            [
                (
                    _item(catalog, item).price or 0.0,
                    categories[_category(catalog, item)],
                    brands[_item(catalog, item).brand],
                    popularity,
                    choice.ts_ms // 3_600_000 % 24,
                )
                for item, popularity in zip(choice.items, choice.popularity, strict=True)
            ]
            for choice in choices
        ]
    )


def user_columns(choices: Sequence[Choice], catalog: Catalog, features: pa.Table) -> Matrix:
    """What the exported features say of the user and each item, (choices, items, columns)."""
    space, rows = ItemSpace(catalog), features.to_pylist()
    return np.array(
        [
            [_user_and_item(row, space, catalog, item) for item in choice.items]
            for choice, row in zip(choices, rows, strict=True)
        ]
    )


def _user_and_item(
    row: dict[str, object], space: ItemSpace, catalog: Catalog, item_id: str
) -> tuple[float, ...]:
    facts = space.facts(item_id)
    price = facts.price or 0.0
    return (
        _product(row["short_vector"], facts.vector_D),
        _product(row["long_vector"], facts.vector_D),
        float(row["top_category"] == facts.category),
        float(row["top_brand"] == facts.brand),
        float(row["last_shift_to"] == facts.category),
        price - _number(row["mean_price"]),
        *(_number(row[name]) for name in NUMBERS),
    )


def _product(vector: object, other_D: NDArray[np.float32] | None) -> float:
    if not isinstance(vector, list) or not vector or other_D is None:
        return 0.0
    return float(np.array(vector, np.float32) @ other_D)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _item(catalog: Catalog, item_id: str) -> ItemVector:
    return catalog.item(catalog.row(item_id))


def _codes(names: Iterable[str]) -> dict[str, int]:
    return {name: n for n, name in enumerate(sorted(names))}


def _category(catalog: Catalog, item_id: str) -> str:
    return category_name(_item(catalog, item_id).category)


def judged(columns_NIF: Matrix, train: int) -> Figures:
    """Train on the first choices, judge on the others; ties rank the true item last."""
    choices, items, width = columns_NIF.shape
    truth_NI = np.zeros((choices, items))
    truth_NI[:, 0] = 1
    model = lgb.LGBMRanker(
        n_estimators=200, learning_rate=0.05, num_leaves=31, random_state=SEED, n_jobs=1, verbose=-1
    )
    model.fit(
        columns_NIF[:train].reshape(-1, width),
        truth_NI[:train].reshape(-1),
        group=[items] * train,
    )
    scores_NI = model.predict(columns_NIF[train:].reshape(-1, width)).reshape(-1, items)
    rank_N = (scores_NI >= scores_NI[:, :1]).sum(axis=1)
    return Figures(
        round(float((1 / np.log2(rank_N + 1)).mean()), 4), round(float((rank_N == 1).mean()), 4)
    )


if __name__ == "__main__":
    main()
