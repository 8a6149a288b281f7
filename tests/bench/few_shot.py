"""Learning from little: ratings of new users, categories from one and five items, one user's time.

**Ratings** (`movielens_1m_sample`, all ratings without time). The protocol is RecBole-MetaRec's
(github.com/RUCAIBox/RecBole-MetaRec): users with 13 to 100 ratings are tasks; tasks are divided at
random, 8:1:1, into training, validation and test; of each task 10 random ratings are the query and
all others the support. nDCG@5 as its `MetaCollector` and RecBole define it: the five queries with
the highest ratings are relevant, all five alike (ties are cut as `torch.topk` cuts them), and the
DCG of the five with the highest predictions is divided by that of five hits. So chance is .5, and
who knows every rating, but not how ties are cut, gets .88. Published there: MeLU .5044, MAMO .6079,
TaNP .6145.

**Categories.** Labels that a title doesn't state: clusters of what is taken by the same users
(k-means on the singular vectors of positive pointwise mutual information). A third of the clusters
is never seen in training; their items are told from one and five examples each, twenty clusters at
a time. `brands` are labels that most titles do state.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.catalogue import encode_items
from learner.config import LearnerConfig
from learner.encoder import TextEncoder
from learner.meta.config import EpisodeConfig, TasteConfig
from learner.meta.prototypes import class_means, draw_episode, learn_map, nearness
from learner.meta.ratings import Rated, RatingConfig, RatingModel, batch_of, item_means, train
from learner.meta.taste import Taste
from learner.sequences import sequences_of
from stream.events import Item
from stream.formats import open_log
from tests.bench._clusters import clusters

PUBLISHED = {"MeLU": 0.5044, "MAMO": 0.6079, "TaNP": 0.6145}
QUERY, TOP = 10, 5
RATINGS = RatingConfig()
SHOPS = ["amazon_office_2018_titles", "uci_online_retail"]
WAYS, ASKED, EPISODES = 20, 3, 200


def ndcg5(score_BN: NDArray[np.float32], rating_BN: NDArray[np.float32]) -> NDArray[np.float64]:
    """nDCG@5 of each task, as the module says.

    >>> ratings = np.array([[1, 2, 3, 4, 5, 5, 5, 5, 5, 5]], np.float32)
    >>> ndcg5(ratings, ratings).tolist()
    [1.0]
    """
    rating = torch.from_numpy(rating_BN)
    best_BN = torch.topk(torch.from_numpy(score_BN), TOP, dim=1)[1]
    right_BN = torch.zeros_like(rating).scatter_(1, torch.topk(rating, TOP, dim=1)[1], 1.0)
    worth_N = 1.0 / np.log2(np.arange(2, TOP + 2))
    hit_BN = right_BN.gather(1, best_BN).numpy()
    return np.asarray((hit_BN * worth_N).sum(axis=1) / worth_N.sum(), np.float64)


def tasks_of(path: Path, seed: int) -> tuple[list[list[tuple[Rated, Rated]]], int]:
    """Training, validation and test tasks, each as support and query; and the number of items."""
    table = pq.read_table(path)
    _, user_N = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    ids, item_N = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    rating_N = table["rating"].to_numpy().astype(np.float32)
    order_N = np.argsort(user_N, kind="stable")
    size_U = np.bincount(user_N)
    generator = np.random.default_rng(seed)
    tasks = []
    for members in np.split(order_N, np.cumsum(size_U)[:-1]):
        if 13 <= len(members) <= 100:  # noqa: PLR2004 - the protocol's
            parts = np.split(generator.permutation(members), [len(members) - QUERY])
            support, query = (Rated(item_N[p].astype(np.int64), rating_N[p]) for p in parts)
            tasks.append((support, query))
    order = generator.permutation(len(tasks))
    cuts = [int(0.8 * len(tasks)), int(0.9 * len(tasks))]
    return [[tasks[t] for t in part] for part in np.split(order, cuts)], len(ids)


def ratings(path: Path, config: RatingConfig, text_IE: torch.Tensor) -> dict[str, float]:
    """nDCG@5 on the test tasks: the model of the best validation, and simpler things."""
    (learnt, valid, test), items = tasks_of(path, config.seed)
    known = [_whole(support, query) for support, query in learnt]
    best: dict[str, Any] = {"ndcg5": -1.0}

    def keep(model: RatingModel, epoch: int, _: float) -> bool:
        found = float(ndcg5(predict(model, valid), asked(valid)).mean())
        if found > best["ndcg5"]:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            best.update(ndcg5=found, epoch=epoch, weights=weights)
        return True

    model = train(known, items, config, text_IE, keep)
    model.load_state_dict(best["weights"])
    began = time.process_time()
    for task in test[:50]:
        predict(model, [task])
    took_ms = (time.process_time() - began) / 50 * 1e3
    mean_I, bias_I = item_means(known, items), biases(known, items)
    random = np.random.default_rng(config.seed).random((len(test), QUERY)).astype(np.float32)

    def by_item(score_I: NDArray[np.float32]) -> float:
        return float(ndcg5(np.stack([score_I[q.items_N] for _, q in test]), asked(test)).mean())

    value_B = ndcg5(predict(model, test), asked(test))
    return {
        "adapted": float(value_B.mean()),
        "half_ci95": float(1.96 * value_B.std() / len(test) ** 0.5),
        "item_means": by_item(mean_I),
        "user_item_bias": by_item(bias_I),
        "chance": float(ndcg5(random, asked(test)).mean()),
        "epoch": best["epoch"],
        "tasks": len(test),
        "cpu_ms_per_user": took_ms,
    }


def _whole(support: Rated, query: Rated) -> Rated:
    items_N = np.concatenate([support.items_N, query.items_N])
    return Rated(items_N, np.concatenate([support.ratings_N, query.ratings_N]))


def texts_of(path: Path) -> torch.Tensor:
    """Text vectors of the rated items, in the order of their ids, about their mean."""
    items = [record.value for record in open_log(path.parent).items()]
    config = LearnerConfig()
    catalog = Catalog(config.encoder.width)
    kept = [item for item in items if isinstance(item, Item)]
    for part in encode_items(kept, TextEncoder(config.encoder), lambda _: None, now_ms=0):
        catalog.upsert(part)
    rated = np.unique(pq.read_table(path, columns=["item_id"])["item_id"].to_numpy())
    row_I = catalog.rows(str(item_id) for item_id in rated)
    text_IE = np.where(row_I[:, None] >= 0, catalog.vectors[np.maximum(row_I, 0)], 0.0)
    return torch.from_numpy((text_IE - text_IE.mean(axis=0)).astype(np.float32))


def predict(model: RatingModel, tasks: Sequence[tuple[Rated, Rated]]) -> NDArray[np.float32]:
    """Predictions of all queries."""
    support, query = (batch_of(part) for part in zip(*tasks, strict=True))
    with torch.no_grad():
        return np.asarray(model(support, query.items_BN).numpy())


def asked(tasks: Sequence[tuple[Rated, Rated]]) -> NDArray[np.float32]:
    """Ratings of all queries."""
    return np.stack([query.ratings_N for _, query in tasks])


def biases(tasks: Sequence[Rated], items: int) -> NDArray[np.float32]:
    """Item biases beside user biases, by alternating means; a user's own doesn't move the order."""
    item_N = np.concatenate([task.items_N for task in tasks])
    task_N = np.repeat(np.arange(len(tasks)), [len(task.items_N) for task in tasks])
    above_N = np.concatenate([task.ratings_N for task in tasks]).astype(np.float64)
    above_N -= above_N.mean()
    item_I, user_U = np.zeros(items), np.zeros(len(tasks))
    for _ in range(10):
        off_I = np.bincount(item_N, above_N - user_U[task_N], minlength=items)
        item_I = off_I / (np.bincount(item_N, minlength=items) + 3.0)
        off_U = np.bincount(task_N, above_N - item_I[item_N])
        user_U = off_U / (np.bincount(task_N) + 5.0)
    return item_I.astype(np.float32)


def categories(
    vector_IE: NDArray[np.float32], label_I: NDArray[np.int64], seed: int
) -> dict[str, float]:
    """Accuracy on clusters that were never learnt: nearest neighbour, raw prototypes, learnt."""
    size = np.bincount(label_I[label_I >= 0])
    enough = np.flatnonzero(size >= TOP + ASKED)
    new = np.random.default_rng(seed).permutation(enough)[: max(2, len(enough) // 3)]
    learnt = learn_map(
        vector_IE, np.where(np.isin(label_I, new), -1, label_I), EpisodeConfig(seed=seed)
    )
    with torch.no_grad():
        spaces = {"prototypes": learnt(torch.from_numpy(vector_IE))}
    spaces["raw_prototypes"] = torch.from_numpy(vector_IE)
    unseen_I = np.where(np.isin(label_I, new), label_I, -1)
    found: dict[str, float] = {"classes": float(len(new))}
    for shots in (1, TOP):
        generator = np.random.default_rng(seed)
        right: dict[str, list[float]] = {name: [] for name in ("nearest", *spaces)}
        for _ in range(EPISODES):
            drawn = draw_episode(unseen_I, WAYS, shots, ASKED, generator)
            like = vector_IE[drawn.query_N] @ vector_IE[drawn.support_N].T
            said = {"nearest": drawn.support_class_N[like.argmax(axis=1)]}
            for name, space_IE in spaces.items():
                class_N = torch.from_numpy(drawn.support_class_N)
                means = class_means(space_IE[drawn.support_N], class_N, int(class_N.max()) + 1)
                said[name] = nearness(space_IE[drawn.query_N], means).argmax(dim=1).numpy()
            for name, told_N in said.items():
                right[name].append(float((told_N == drawn.query_class_N).mean()))
        for name, values in right.items():
            found[f"{name}_{shots}"] = float(np.mean(values))
            found[f"{name}_{shots}_half_ci95"] = float(1.96 * np.std(values) / EPISODES**0.5)
    return found


def shop(folder: Path, last: int | None) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Text vectors of a log's items, and labels of them."""
    log, config = open_log(folder), LearnerConfig()
    events = load_events(log, last)
    catalog = load_catalogue(log, events, config)
    found = sequences_of(events, catalog)
    labels = {"clusters": clusters(found.user_N, found.rows_N.astype(np.int64), len(catalog))}
    brand = {
        record.value.item_id: (getattr(record.value, "brand", None) or "").lower()
        for record in log.items()
    }
    names = [brand.get(catalog.item(row).item_id, "") for row in range(len(catalog))]
    if any(names):
        _, code_I = np.unique(names, return_inverse=True)
        labels["brands"] = np.where([bool(name) for name in names], code_I, -1)
    return np.ascontiguousarray(catalog.vectors, np.float32), labels


def one_user() -> dict[str, float]:
    """Milliseconds of processor time to adapt a head to five events, and score 200 candidates."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(256, 384, generator=generator)
    taste, support = Taste(text, torch.zeros(256), TasteConfig()), text[None, :5]
    with torch.no_grad():
        took = []
        for _ in range(200):
            began = time.process_time()
            head = taste.heads(support, torch.ones(1, 5))
            (taste.items(text[:200]) @ head.T).sum()
            took.append((time.process_time() - began) * 1e3)
    return {"p50_ms": float(np.median(took)), "p99_ms": float(np.quantile(took, 0.99))}


def main(arguments: Sequence[str]) -> None:
    """Print each part's figures as they come."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=RATINGS.epochs, help="of the ratings")
    parser.add_argument("--only", choices=["ratings", "categories", "time"])
    parser.add_argument("--data", nargs="+", choices=SHOPS, default=SHOPS)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked_for = parser.parse_args(arguments)
    folder = Path(os.environ.get("TIDEMILL_DATA", "-"))
    torch.set_num_threads(1)
    config = msgspec.structs.replace(RATINGS, epochs=asked_for.epochs)

    def tell(what: str, found: dict[str, float]) -> None:
        if asked_for.json:
            line = msgspec.json.encode({"what": what, **found}).decode()
        else:
            line = what + "  " + "  ".join(f"{name} {value:.4g}" for name, value in found.items())
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    if asked_for.only in (None, "time"):
        tell("one user", one_user())
    path = folder / "movielens_1m_sample" / "all_ratings_no_time.parquet"
    if asked_for.only in (None, "ratings") and path.is_file():
        text_IE = texts_of(path)
        for seed in range(asked_for.seeds):
            seeded = msgspec.structs.replace(config, seed=seed)
            tell(f"ratings, seed {seed}", ratings(path, seeded, text_IE))
    for name in asked_for.data if asked_for.only in (None, "categories") else ():
        if (folder / name).is_dir():
            vector_IE, labels = shop(folder / name, 40_000)
            for what, label_I in labels.items():
                tell(f"{name}, {what}", categories(vector_IE, label_I, 0))


if __name__ == "__main__":
    main(sys.argv[1:])
