"""Pretraining beside published figures: Amazon Beauty, each user's last item among all items.

The sequences are those of BERT4Rec (40,226 users, 54,542 items), the protocol that of Klenitskiy &
Vasilev (RecSys 2023, arXiv 2309.07602): each user's last item is the test, the one before it the
validation, all others are learnt; histories of at most 50 items; all items are ranked but those
that the user had. Their SASRec with full cross-entropy reaches HR@10 .0533 and NDCG@10 .0327.

Ids only, no texts and no times. The test is ranked once, by the weights of the best validation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import torch

from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining import TOP, Pretraining
from learner.pretraining_config import Epoch, PretrainConfig
from learner.pretraining_kept import pretrain_kept
from learner.ranking_metrics import gains
from learner.sequences import Sequences, last_windows, lay_out
from learner.tower import Residuals
from stream.events import json_encode

FILE = "seqrec_benchmarks/amazon_beauty_bert4rec.parquet"
PUBLISHED = {"hr10": 0.0533, "ndcg10": 0.0327}

CONFIG = PretrainConfig(
    holdout="last",
    filter_seen=True,
    epochs=9,
    batch=256,
    rate=2.5e-3,
    schedule="linear",
    negatives=2_000,
    dropout=0.2,
    warmup=100,
    patience=9,
)


def sequences(path: Path) -> tuple[Sequences, list[str]]:
    """All users' items in their order, and the items' ids."""
    table = pq.read_table(path)
    ids, code_N = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    user_N, place_N = table["seq_id"].to_numpy(), table["pos"].to_numpy()
    return lay_out(user_N, code_N, place_N.astype(np.int64)), [str(i) for i in ids]


def measure(
    path: Path, folder: Path, config: PretrainConfig, model: ModelConfig, say: bool
) -> dict[str, float]:
    """Pretrain on all but each user's last item, then rank that."""
    whole, ids = sequences(path)
    last_N = whole.ends_S - 1
    known_N = np.ones(len(whole.rows_N), np.bool_)
    known_N[last_N] = False
    found: dict[str, float] = {}
    began = time.perf_counter()

    def tell(pretraining: Pretraining, epoch: Epoch) -> None:
        if say:
            sys.stderr.write(
                f"{time.strftime('%H:%M:%S')} epoch {epoch.number}  loss {epoch.loss:.4f}  "
                f"validation HR@10 {epoch.hr10:.4f} NDCG@10 {epoch.ndcg10:.4f}  "
                f"{epoch.seconds:.0f} s\n"
            )
            sys.stderr.flush()
        found["epochs"] = epoch.number

    behaviour, residuals = Behaviour(model, text_width=8, seed=config.seed), Residuals(model.width)
    report = pretrain_kept(
        folder,
        behaviour,
        residuals,
        None,
        whole.only(known_N),
        config=config,
        item_ids=ids,
        after_epoch=tell,
    )
    last = Pretraining(behaviour, residuals, None, whole.only(known_N), config, item_ids=ids)
    rank_N = last.rank(whole, last_windows(whole, last_N, config.steps))
    return {
        "epochs": len(report.epochs),
        "best_epoch": report.best,
        "validation_ndcg10": report.ndcg10,
        "hr10": float((rank_N <= TOP).mean()),
        "ndcg10": float(gains(rank_N).mean()),
        "users": len(rank_N),
        "training_min": report.seconds / 60,
        "minutes": (time.perf_counter() - began) / 60,
    }


def main(arguments: Sequence[str]) -> None:
    """Print a line for each epoch, then the figures of the test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("epochs", "batch", "negatives", "patience", "seed", "valid_max"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=None)
    for name in ("rate", "dropout", "decay"):
        parser.add_argument(f"--{name}", type=float, default=None)
    parser.add_argument("--loss", choices=["softmax", "gbce"], default=None)
    parser.add_argument("--no-offset", action="store_true", help="no log-popularity in logits")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder of the epochs; a second run goes on")
    parser.add_argument("--json", action="store_true", help="a JSON line instead of words")
    asked = vars(parser.parse_args(arguments))
    data = os.environ.get("TIDEMILL_DATA")
    if not data or not (Path(data) / FILE).is_file():
        parser.error(f"TIDEMILL_DATA must name the folder that holds {FILE}")
    torch.set_num_threads(asked["threads"])
    changed = {k: v for k, v in asked.items() if k in PretrainConfig.__struct_fields__ and v}
    config = msgspec.structs.replace(CONFIG, popularity_offset=not asked["no_offset"], **changed)
    shape = {name: asked[name] for name in ("width", "layers", "heads")}
    model = ModelConfig(transformer_steps=config.steps, **shape)
    with tempfile.TemporaryDirectory() as aside:
        folder = asked["keep"] or Path(aside)
        figures = measure(Path(data) / FILE, folder, config, model, not asked["json"])
    if asked["json"]:
        sys.stdout.write(json_encode(figures).decode() + "\n")
    else:
        for name, value in figures.items():
            beside = f"  (published: {PUBLISHED[name]})" if name in PUBLISHED else ""
            sys.stdout.write(f"{name:<18} {value:.4f}{beside}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
