"""One model learnt by two processes, beside one process on the same events.

Run by `torchrun`: `torchrun --nproc-per-node 2 -m infra.bench.learn_together --events 4000`. Each
process takes the users whose partition is its own, as consumers of one group do; all of them learn
one model (`learner.parallel`). The first process then plays the same events alone, in micro-batches
as large as all of theirs together, and prints both curves and whether the weights are equal bit by
bit. A run without `torchrun` is a group of one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from features.catalog import Catalog
from infra.bench.learn_shop import shop_examples
from learner.config import LearnerConfig
from learner.drift_river import default_detectors
from learner.online import OnlineLearner
from learner.parallel import Group
from learner.peers import ALONE, Peers
from learner.ranking_metrics import gains
from learner.state import save_ranker
from stream.events import Example
from stream.murmur import partition_of

POINTS = 8
"""Of a curve: each a mean over as many events."""

SMALL = msgspec.convert(
    {
        "device": "cpu",
        "model": {
            "width": 16,
            "layers": 1,
            "heads": 2,
            "lora_rank": 2,
            "steps": 8,
            "transformer_steps": 8,
        },
        "train": {"listed": 8, "negatives": 16, "replays": 1, "replay_size": 64},
    },
    LearnerConfig,
)
"""For a look that takes seconds."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the first process prints."""

    processes: int
    events: int
    equal: bool
    """Whether everything that scoring needs is the same in all processes, bit by bit."""
    curve: list[float]
    """NDCG@10 before learning, of all processes' events, from first to last."""
    curve_of_one: list[float]
    ndcg10: float
    ndcg10_of_one: float
    seconds: float
    seconds_of_one: float


def play(
    catalog: Catalog, config: LearnerConfig, parts: Sequence[list[Example]], peers: Peers
) -> tuple[OnlineLearner, list[NDArray[np.float64]], float]:
    """Learn what one process is given, call by call; ranks of each call, and seconds."""
    learner = OnlineLearner(catalog, config, default_detectors(), peers)
    began = time.perf_counter()
    ranks = [learner.learn_many(part).rank_N for part in parts]
    return learner, ranks, time.perf_counter() - began


def calls(
    examples: Sequence[Example], size: int, mine: Callable[[Example], bool]
) -> list[list[Example]]:
    """Cut a log into calls that all processes make together, and keep what is one's own."""
    return [
        [example for example in examples[i : i + size] if mine(example)]
        for i in range(0, len(examples), size)
    ]


def digest(learner: OnlineLearner) -> bytes:
    """The hash of all arrays that scoring needs."""
    found = hashlib.sha256()
    for name, array in sorted(save_ranker(learner.ranker).items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.digest()


def curve_of(call_ranks: Sequence[NDArray[np.float64]]) -> list[float]:
    """Means over equally many events."""
    gain_N = gains(np.concatenate(call_ranks))
    return [round(float(part.mean()), 4) for part in np.array_split(gain_N, POINTS)]


def main(arguments: Sequence[str]) -> None:
    """Learn together, then alone; the first process prints a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000)
    parser.add_argument("--batch", type=int, default=256, help="examples of all, learnt together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a tiny model, for a first look")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    else:
        alone = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=alone, rank=0, world_size=1)
    try:
        _learn(asked, Group())
    finally:
        dist.destroy_process_group()


def _learn(asked: argparse.Namespace, group: Group) -> None:
    config = SMALL if asked.small else LearnerConfig(device="cpu")
    train = msgspec.structs.replace(config.train, batch=asked.batch)
    config = msgspec.structs.replace(config, train=train)
    width = 32 if asked.small else 384
    catalog, examples = shop_examples(
        asked.events, seed=asked.seed, width=width, steps=config.model.steps
    )
    examples = [
        msgspec.structs.replace(one, partition=partition_of(one.user_id.encode(), group.size))
        for one in examples
    ]
    own = calls(examples, asked.batch, lambda one: one.partition == group.rank)
    learner, ranks, seconds = play(catalog, config, own, group)
    equal = group.joined(np.frombuffer(digest(learner), np.uint8).astype(np.float64)[:, None])
    everyone = [group.joined(one[None])[0] for one in ranks]
    if group.rank:
        return
    _, alone, seconds_of_one = play(
        catalog, config, calls(examples, asked.batch, lambda _: True), ALONE
    )
    told = Told(
        processes=group.size,
        events=len(examples),
        equal=bool((equal == equal[:, :1]).all()),
        curve=curve_of(everyone),
        curve_of_one=curve_of(alone),
        ndcg10=round(float(gains(np.concatenate(everyone)).mean()), 4),
        ndcg10_of_one=round(float(gains(np.concatenate(alone)).mean()), 4),
        seconds=round(seconds, 1),
        seconds_of_one=round(seconds_of_one, 1),
    )
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
