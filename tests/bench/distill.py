"""A student beside its teacher, and beside itself without one: quality, size and speed on a CPU.

A recorded log's last events, in time order. What comes before the test is learnt: all of it by the
teacher, and its newest quarter (`--newest`) by students, with a teacher or without; a teacher knows
more than there is time for. The last events are the test. Users are the log's sessions. All items
are ranked. An arm's weights are those of its best validation; the test is ranked once.

Arms: `teacher`, the wide model; `alone`, the small one without a teacher; `taught`, the small one
as `tidemill distill` makes it; and one for each part of it, to see what it brings. What `taught`
is worth in bfloat16, and with its smallest weights at zero, is measured on the same test.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from learner.base import ABOUT, save_base
from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining import TOP, Pretraining, pretrain
from learner.pretraining_config import DistillConfig, Epoch, PretrainConfig
from learner.pretraining_loss import Popularity
from learner.pretraining_split import with_past
from learner.pretraining_student import Cut, Student, cut, offset_of
from learner.ranking_metrics import gains
from learner.sequences import Sequences, Windows, last_windows, lay_out
from learner.teacher import Teacher, body_parameters
from learner.tower import Residuals
from stream.events import json_encode

FILE = "yoochoose_clicks/events.parquet"
STEPS = 16
HALF = " in bfloat16"
USERS = 64
"""Users who are scored at once, as in serving."""

CONFIG = PretrainConfig(
    steps=STEPS,
    epochs=5,
    batch=64,
    rate=3e-3,
    warmup=100,
    schedule="linear",
    dropout=0.2,
    patience=4,
    valid_max=4_000,
)
TEACHER = ModelConfig(width=128, layers=3, heads=2, transformer_steps=STEPS)

TAUGHT = DistillConfig()
ARMS: dict[str, dict[str, Any]] = {
    "alone": {},
    "taught": {"distill": TAUGHT},
    "gently": {"distill": msgspec.structs.replace(TAUGHT, weight=1.0)},
    "ranking": {"distill": msgspec.structs.replace(TAUGHT, ranking=0.2)},
    "start": {"distill": msgspec.structs.replace(TAUGHT, weight=0.0)},
    "divergence": {"distill": msgspec.structs.replace(TAUGHT, start=False)},
    "contrast": {"contrast": 0.1},
    "adversarial": {"adversarial": 0.1},
}
PRUNED = (0.3, 0.5, 0.8)


class Split(NamedTuple):
    """A log, what of it is learnt by whom, and what is ranked."""

    whole: Sequences
    long: Sequences
    """What the teacher learns."""
    newest: Sequences
    """What students learn."""
    test: Windows
    ids: list[str]


def split(path: Path, events: int, newest: int, tested: int) -> Split:
    """The newest events of a log, by session, the newest of these, and the very last."""
    file = pq.ParquetFile(path)
    names = ["ts_ms", "session_id", "item_id"]
    table = file.read(columns=names).slice(max(0, file.metadata.num_rows - events))
    _, user_N = np.unique(_texts(table["session_id"]), return_inverse=True)
    ids, rows_N = np.unique(_texts(table["item_id"]), return_inverse=True)
    whole = lay_out(user_N, rows_N, table["ts_ms"].cast("int64").to_numpy())
    rising_N = np.sort(whole.ts_N)
    known_N = whole.ts_N < rising_N[-tested]
    new_N = whole.ts_N >= rising_N[-min(newest, len(rising_N))]
    test = last_windows(whole, np.flatnonzero(~known_N & with_past(whole)), STEPS)
    names_I = [str(i) for i in ids]
    return Split(whole, whole.only(known_N), whole.only(known_N & new_N), test, names_I)


def _texts(column: Any) -> NDArray[np.str_]:
    return np.asarray(column.to_numpy(), str)


class Arm(NamedTuple):
    """What one training came to."""

    ndcg10: float
    hr10: float
    valid: float
    epochs: int
    cpu_s: float
    reads: Student


def train(
    data: Split, shape: ModelConfig, config: PretrainConfig, teacher: Teacher | None, folder: Path
) -> Arm:
    """Train one arm, or read it where it was trained before, and rank the test."""
    learnt = data.long if teacher is None else data.newest
    began = time.process_time()

    def tell(_: Pretraining, epoch: Epoch) -> None:
        sys.stderr.write(
            f"{folder.name:<20} epoch {epoch.number}  loss {epoch.loss:.4f}  validation NDCG@10 "
            f"{epoch.ndcg10:.4f}  {epoch.seconds:.0f} s\n"
        )
        sys.stderr.flush()

    if not (folder / ABOUT).is_file():
        model, residuals = Behaviour(shape, 8, config.seed), Residuals(shape.width)
        report = pretrain(
            model,
            residuals,
            None,
            learnt,
            config,
            item_ids=data.ids,
            teacher=teacher,
            after_epoch=tell,
        )
        figures = msgspec.to_builtins(report) | {"config": msgspec.to_builtins(config)}
        figures["cpu_s"] = time.process_time() - began
        save_base(folder, model, residuals, data.ids, steps=STEPS, figures=figures)
    trained = Teacher(folder, None, data.ids, torch.device("cpu"))
    rank_N = rank(data, trained.reads, learnt, config)
    said = trained.about.figures
    return Arm(
        float(gains(rank_N).mean()),
        float((rank_N <= TOP).mean()),
        said["ndcg10"],
        len(said["epochs"]),
        said["cpu_s"],
        trained.reads,
    )


def rank(
    data: Split, reads: Student, learnt: Sequences, config: PretrainConfig
) -> NDArray[np.float64]:
    """Rank the test, by what is popular in what was learnt."""
    popularity = Popularity(learnt.rows_N, len(data.ids))
    offset_I = offset_of(popularity, np.arange(len(data.ids)), used=config.popularity_offset)
    return reads.rank(data.whole, data.test, offset_I, filter_seen=False)


@torch.no_grad()
def speed(data: Split, arms: dict[str, Student], turns: int, users: int) -> dict[str, float]:
    """Processor time to read users' histories, score all items and take the top, in ms.

    As in serving, by weights that are fixed. Arms take turns with the same users, in full precision
    and in bfloat16; the median turn counts.
    """
    generator = np.random.default_rng(0)
    every_I = np.arange(len(data.ids), dtype=np.int32)
    towers = {name: reads.towers(every_I.astype(np.int64)) for name, reads in arms.items()}
    took: dict[str, list[float]] = {}
    for reads in arms.values():
        reads.model.fix()
    for _ in range(turns):
        some = data.test.take(generator.integers(0, len(data.test), users))
        for name, reads in arms.items():
            read = cut(data.whole, some, reads.device)
            read.steps.index(every_I, reads.device)
            for half in (False, True):
                began = time.process_time()
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    users_BD = reads.model.users(towers[name], read.steps)
                (users_BD.float() @ towers[name].T).topk(TOP, dim=1)
                spent = 1e3 * (time.process_time() - began)
                took.setdefault(name + HALF * half, []).append(spent)
    return {name: statistics.median(times) for name, times in took.items()}


class Half(Student):
    """A student whose users are read in bfloat16, and scored in full."""

    def users(self, items_UD: torch.Tensor, cut: Cut, dropout: float) -> torch.Tensor:
        """The user at each step of each window."""
        with torch.autocast("cpu", torch.bfloat16):
            return super().users(items_UD, cut, dropout).float()


def in_half(reads: Student) -> Student:
    """The same, in bfloat16."""
    half = copy.copy(reads)
    half.__class__ = Half
    return half


@torch.no_grad()
def pruned(reads: Student, share: float) -> Student:
    """The same, whose smallest weights in the transformer and the output head are zero."""
    less = copy.copy(reads)
    less.model = copy.deepcopy(reads.model)
    body = less.model.body.get_base_model()
    matrices = [p for name, p in body.named_parameters() if "_proj.base_layer" in name]
    matrices += [p for name, p in body.named_parameters() if "gate_proj.weight" in name]
    for weight in [*matrices, less.model.output_DD]:
        weight[weight.abs() < weight.abs().quantile(share)] = 0.0
    return less


def smaller(data: Split, reads: Student, config: PretrainConfig) -> dict[str, float]:
    """NDCG@10 of a student in bfloat16, and of one that is pruned."""
    arms = {"bfloat16": in_half(reads)} | {f"pruned {s}": pruned(reads, s) for s in PRUNED}
    return {
        name: float(gains(rank(data, one, data.newest, config)).mean())
        for name, one in arms.items()
    }


def measure(
    data: Split,
    config: PretrainConfig,
    student: ModelConfig,
    epochs: int,
    *,
    arms: Sequence[str],
    keep: Path,
) -> dict[str, dict[str, float]]:
    """All figures of one seed, by arm; students learn for so many epochs at most."""
    seed = config.seed
    found = {"teacher": train(data, TEACHER, config, None, keep / f"teacher-{seed}")}
    teacher = Teacher(keep / f"teacher-{seed}", None, data.ids, torch.device("cpu"))
    for arm in arms:
        taught = msgspec.structs.replace(config, epochs=epochs, **ARMS[arm])
        found[arm] = train(data, student, taught, teacher, keep / f"{arm}-{student.width}-{seed}")
    ms = speed(data, {arm: one.reads for arm, one in found.items()}, 30, USERS)
    single = speed(data, {arm: one.reads for arm, one in found.items()}, 60, 1)
    return {
        arm: {
            "ndcg10": one.ndcg10,
            "hr10": one.hr10,
            "of_teacher": one.ndcg10 / found["teacher"].ndcg10,
            "valid": one.valid,
            "epochs": one.epochs,
            "cpu_s": one.cpu_s,
            "ms": ms[arm],
            "ms_bfloat16": ms[arm + HALF],
            "faster": ms["teacher"] / ms[arm],
            "faster_for_one": single["teacher"] / single[arm],
            "parameters": body_parameters(one.reads.model) / teacher.parameters(),
        }
        | (smaller(data, one.reads, config) if arm == "taught" else {})
        for arm, one in found.items()
    }


def main(arguments: Sequence[str]) -> None:
    """Print a line for each arm and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=120_000, help="newest events of the log")
    parser.add_argument("--newest", type=int, default=30_000, help="of these, what students learn")
    parser.add_argument("--tested", type=int, default=3_000, help="last events, which are ranked")
    parser.add_argument("--epochs", type=int, default=16, help="of students, at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["alone", "taught"])
    parser.add_argument("--width", type=int, default=32, help="of students")
    parser.add_argument("--keep", type=Path, help="folder of the bases; a second run reads them")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    asked = parser.parse_args(arguments)
    path = Path(os.environ.get("TIDEMILL_DATA", "")) / FILE
    if not path.is_file():
        parser.error(f"TIDEMILL_DATA must name the folder that holds {FILE}")
    torch.set_num_threads(1)
    data = split(path, asked.events, asked.newest, asked.tested)
    student = ModelConfig(width=asked.width, layers=1, heads=2, transformer_steps=STEPS)
    with tempfile.TemporaryDirectory() as aside:
        for seed in asked.seeds:
            config = msgspec.structs.replace(CONFIG, seed=seed)
            keep = asked.keep or Path(aside)
            found = measure(data, config, student, asked.epochs, arms=asked.arms, keep=keep)
            for arm, figures in found.items():
                if asked.json:
                    line = json_encode({"seed": seed, "arm": arm} | figures).decode()
                else:
                    told = (f"{name} {value:.4g}" for name, value in figures.items())
                    line = f"seed {seed}  {arm:<12} " + "  ".join(told)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
