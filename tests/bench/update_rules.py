"""Ways in which the transformer may follow a log, block by block, in one table.

The base learns block 0. Then, by `--protocol next`, each block is ranked by the model that has
learnt the blocks before, and is learnt; all its events with a past are ranked. By `--protocol
last` the block is learnt but for each user's last two events, then each user's last event is
ranked by the model that has learnt all but those two (PESO, arXiv 2510.25093; users with three or
more). Ranked are all items that were learnt, less those that the user had; an item that was never
learnt is a miss. The rules see one base, the same batches, and as many passes.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from learner.config import LearnerConfig, ModelConfig, TrainConfig
from learner.pretraining_config import Moment, PretrainConfig
from learner.ranking_metrics import gains
from stream.events import json_encode
from tests.bench._blocks import Blocks, Part, read_blocks, toy_blocks
from tests.bench._course import Course
from tests.bench._exemplars import Exemplars

Protocol = Literal["next", "last"]

Progress = Callable[[str], None]

FILES = {
    "games": "amazon_video_games_peso_blocks.parquet",
    "cds": "amazon_cds_vinyl_peso_blocks.parquet",
}


class Way(NamedTuple):
    """A rule, what it keeps for replay, and a dropout that isn't its own."""

    rule: str | None
    kept: str = ""
    dropout: float | None = None


WAYS = {
    "frozen": Way(None),
    "items": Way("items"),
    "full": Way("full"),
    "single": Way("single"),
    "cumulative": Way("cumulative"),
    "two-speeds": Way("two-speeds"),
    "pull": Way("pull"),
    "steady": Way("steady"),
    "distillation": Way("distillation", "herded"),
    "single+dropout": Way("single", dropout=0.3),
    "cumulative+dropout": Way("cumulative", dropout=0.3),
    "items+dropout": Way("items", dropout=0.3),
    "single+replay": Way("single", "even"),
    "steady+replay": Way("steady", "even"),
}


USUAL = ("frozen", "items", "full", "single", "cumulative", "pull", "steady", "single+dropout")
"""What is compared unless said otherwise: what replays takes as long again."""


class Figures(NamedTuple):
    hr10: float
    ndcg10: float


class Settings(NamedTuple):
    """How the blocks are gone through."""

    protocol: Protocol
    base_epochs: int
    epochs: int
    kept: int


def base(blocks: Blocks, config: LearnerConfig, epochs: int, progress: Progress) -> Course:
    """A course whose model has learnt block 0: a small log wants small batches and long steps."""
    course = Course(blocks, config)
    pretraining = PretrainConfig(
        epochs=epochs,
        batch=64,
        steps=config.model.transformer_steps,
        rate=0.005,
        warmup=20,
        dropout=0.3,
        patience=2,
        filter_seen=True,
        seed=config.seed,
    )

    def tell(moment: Moment) -> None:
        progress(f"base, pass {moment.epoch}, NDCG@10 {moment.ndcg10 or 0.0:.4f}")

    course.pretrain(pretraining, tell)
    return course


def follow(
    way: Way, start: Course, config: LearnerConfig, settings: Settings, progress: Progress
) -> list[Figures]:
    """Let a copy of the base go through the other blocks in one way; figures for each of them."""
    course = copy.deepcopy(start)
    rule = way.rule or "single"
    train = msgspec.structs.replace(config.train, update_rule=rule)
    course.take_up(msgspec.structs.replace(config, train=train))
    if way.dropout is not None:
        course.trainer.rule.dropout = way.dropout
    course.generator = np.random.default_rng((config.seed, 1))
    course.kept = Exemplars(settings.kept if way.kept else 0, herded=way.kept == "herded")
    course.keep(course.examples(0, "all"))
    part: Part = "all" if settings.protocol == "next" else "learnt"
    figures = []
    for block in range(1, len(course.blocks)):
        progress(f"block {block}")
        if settings.protocol == "next":
            figures.append(_figures(course.rank(course.examples(block, "all"))))
        if settings.protocol == "next" and block + 1 == len(course.blocks):
            break
        if way.rule:
            course.update(block, part, settings.epochs)
        else:
            course.meet(block, part)
        if settings.protocol == "last":
            figures.append(_figures(course.rank(course.examples(block, "last"))))
    return figures


def _figures(rank_N: NDArray[np.float64]) -> Figures:
    return Figures(float((rank_N <= 10).mean()), float(gains(rank_N).mean()))


def load(data: str, seed: int) -> tuple[Blocks, LearnerConfig]:
    """A data set by name, and the settings for its size."""
    if data == "toy":
        model = ModelConfig(width=16, layers=1, heads=2, lora_rank=4, steps=8, transformer_steps=4)
        train = TrainConfig(batch=64, negatives=32)
        config = LearnerConfig(device="cpu", seed=seed, model=model, train=train)
        return toy_blocks(seed), config
    folder = os.environ.get("TIDEMILL_DATA")
    if not folder:
        message = "set TIDEMILL_DATA to the folder that holds seqrec_benchmarks, or use --data toy"
        raise SystemExit(message)
    train = TrainConfig(negatives=1024, residual_rate=0.02, transformer_rate=1e-3)
    return (
        read_blocks(Path(folder) / "seqrec_benchmarks" / FILES[data]),
        LearnerConfig(device="cpu", seed=seed, train=train),
    )


def main(arguments: Sequence[str]) -> None:
    """Print a line for each rule and seed, then each rule's means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["toy", *FILES], default="toy")
    parser.add_argument("--rules", nargs="+", choices=list(WAYS), default=list(USUAL))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--protocol", choices=["next", "last"], default="next")
    parser.add_argument("--base-epochs", type=int, default=30, help="most passes over block 0")
    parser.add_argument("--epochs", type=int, default=5, help="passes over each later block")
    parser.add_argument("--kept", type=int, default=8192, help="exemplars, for rules that replay")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    settings = Settings(asked.protocol, asked.base_epochs, asked.epochs, asked.kept)
    lines: dict[str, list[list[Figures]]] = {}
    for seed in asked.seeds:
        blocks, config = load(asked.data, seed)
        began = time.perf_counter()
        start = base(blocks, config, settings.base_epochs, _tell(f"seed {seed}"))
        seconds = round(time.perf_counter() - began, 1)
        _say(asked.json, {"seed": seed, "rule": "base", "seconds": seconds})
        for name in asked.rules:
            began = time.perf_counter()
            found = follow(WAYS[name], start, config, settings, _tell(f"seed {seed}, {name}"))
            lines.setdefault(name, []).append(found)
            seconds = round(time.perf_counter() - began, 1)
            _say(asked.json, {"seed": seed, "rule": name, "seconds": seconds} | _line(found))
    for name, seeds in lines.items():
        mean = [Figures(*np.mean(one, axis=0)) for one in zip(*seeds, strict=True)]
        _say(asked.json, {"seed": "mean", "rule": name} | _line(mean))


def _line(found: Sequence[Figures]) -> dict[str, object]:
    line: dict[str, object] = {}
    for name in Figures._fields:
        each = [round(float(getattr(one, name)), 4) for one in found]
        line[name] = each
        line[f"{name}_1_4"] = round(float(np.mean(each)), 4)
        line[f"{name}_2_4"] = round(float(np.mean(each[1:])), 4)
    return line


def _tell(who: str) -> Progress:
    said = ""

    def tell(what: str) -> None:
        nonlocal said
        if what != said:
            said = what
            sys.stderr.write(f"\r\x1b[K{who}: {what}")
            sys.stderr.flush()

    return tell


def _say(as_json: bool, line: dict[str, object]) -> None:
    text = json_encode(line).decode() if as_json else "  ".join(f"{k} {v}" for k, v in line.items())
    sys.stderr.write("\r\x1b[K")
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
