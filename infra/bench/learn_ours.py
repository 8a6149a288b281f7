"""The learner's loop beside the bare one, in one process, micro-batch by micro-batch in turn.

Run by `infra.bench.learn` with `infra.bench.apart`, so that threads and imports are nobody else's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch

from infra.bench.learn_bare import BareLoop
from infra.bench.learn_limits import counted, limits, now_s
from infra.bench.learn_shop import shop_examples
from learner import behaviour_step, experts, online, ranker, step
from learner.config import LearnerConfig
from learner.drift_river import default_detectors
from learner.online import OnlineLearner
from learner.referee import Referee, for_serving
from learner.snapshot import Saved, Snapshots, publish_version
from learner.state import save_learner
from stream.events import AdapterVersion

WARM = 4
"""Micro-batches before the clock starts."""

TIMED_APART = 3
"""One micro-batch in so many is timed part by part, which on a GPU takes time of its own."""


def loops(events: str, device: str, threads: str) -> dict[str, float]:
    """Seconds for an example of each loop, where the learner's go, and what the device could."""
    torch.set_num_threads(int(threads))
    catalog, examples = shop_examples(int(events))
    config = LearnerConfig(device="cuda" if device == "cuda" else "cpu")
    size = config.train.batch
    learner = OnlineLearner(catalog, config, default_detectors())
    referee = Referee(learner, config.train.judged)
    bare = {
        "libraries": BareLoop(catalog, config, ours=False),
        "ours": BareLoop(catalog, config, ours=True),
    }
    batches = {name: loop.batches(catalog, examples) for name, loop in bare.items()}
    took: dict[str, list[float]] = {name: [] for name in ("learner", *bare)}
    parts: list[dict[str, float]] = []
    saves: list[float] = []
    where = learner.ranker.device
    with tempfile.TemporaryDirectory() as folder:
        for at in range(len(examples) // size):
            part = examples[at * size : (at + 1) * size]
            apart = at % TIMED_APART == TIMED_APART - 1
            timed: AbstractContextManager[dict[str, float]]
            timed = in_parts(where) if apart else nullcontext({})
            with timed as shares:
                began = now_s(where)
                report = learner.learn_many(part)
                learnt = now_s(where)
            referee.judge(part, report)
            ended = now_s(where)
            if apart:
                parts.append({**shares, "gate": ended - learnt})
            else:
                took["learner"].append(ended - began)
            for name, loop in bare.items():
                began = now_s(where)
                loop.learn(batches[name], at)
                took[name].append(now_s(where) - began)
            if at % WARM == WARM - 1:
                began = now_s(where)
                _checkpoint(learner, referee, Path(folder), at)
                saves.append(now_s(where) - began)
    first_step = batches["libraries"][-1]
    flops, moved = counted(lambda: bare["libraries"].step(first_step))
    most_flops, most_moved = limits(where)
    found = {name: median(values[WARM:]) / size for name, values in took.items()}
    found |= {
        f"part {name}": median(one.get(name, 0.0) for one in parts[1:]) / size for name in parts[-1]
    }
    found |= {"checkpoint": median(saves), "every": config.publish_every_s}
    found |= {"flops": flops / size, "moved": moved / size, "steps": 1.0 + config.train.replays}
    return found | {"most flops": most_flops, "most moved": most_moved}


def _checkpoint(learner: OnlineLearner, referee: Referee, folder: Path, number: int) -> None:
    """What the role does every few seconds: decide, save, write, judge by the new one."""
    decision = referee.decide()
    saved = save_learner(learner)
    version = for_serving(saved, "prior" if decision == "prior" else "published")
    Snapshots(folder / "checkpoints", 3).write(number, saved)
    announced: AdapterVersion = publish_version(
        Snapshots(folder / "versions", 3),
        number,
        Saved(version.arrays, version.meta),
        model="behaviour",
        parent=None,
        created_ms=0,
        figures={},
    )
    referee.publish(announced, version)


PARTS: tuple[tuple[Any, str, str], ...] = (
    (online, "histories_of", "lay out"),
    (ranker.Ranker, "_score", "arms and texts"),
    (ranker.Ranker, "_behaviour", "read and score"),
    (ranker, "gather_candidates", "candidates"),
    (ranker, "describe", "features"),
    (ranker.Ranker, "gather", "weights"),
    (online, "make_lesson", "lesson"),
    (online, "popularity_ranks", "shadows"),
    (online, "covisit_ranks", "shadows"),
    (online, "novelty", "drift"),
    (online, "watch", "drift"),
    (online.OnlineLearner, "_teaching_B", "trust"),
    (online.OnlineLearner, "_admit", "admit"),
    (experts.Experts, "learn", "count"),
    (step.Trainer, "_teach_nets", "net steps"),
    (behaviour_step.BehaviourTrainer, "step", "transformer steps"),
)
"""Functions that are timed: where they are called from, and what their time is called. What one
takes within another counts for itself alone."""


@contextmanager
def in_parts(device: torch.device) -> Iterator[dict[str, float]]:
    """Measure the parts of what is done inside: seconds by name."""
    shares: dict[str, float] = {}
    within: list[float] = [0.0]
    kept = [(place, name, place.__dict__[name]) for place, name, _ in PARTS]

    def timed(called: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            within.append(0.0)
            began = now_s(device)
            try:
                return function(*args, **kwargs)
            finally:
                took, inner = now_s(device) - began, within.pop()
                within[-1] += took
                shares[called] = shares.get(called, 0.0) + took - inner

        return call

    for place, name, called in PARTS:
        setattr(place, name, timed(called, place.__dict__[name]))
    try:
        yield shares
    finally:
        for place, name, function in kept:
            setattr(place, name, function)
