"""What a second shop costs in the processes of the first: memory, and time of equal work in two.

Learner and serving are fed in processes of their own with the events, or the requests, of one shop,
of two and of four, as many in all; each shop has its own items, counts and weights. What the
processor has to do more for the same work is the price of smaller micro-batches.
"""

# ruff: noqa: PLC0415 - a role is fed with its own parts only

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import psutil

from features.catalog import Catalog
from features.store import MemoryStore, UserFeatures
from infra.bench.apart import apart
from infra.bench.bar import Bar, Run
from infra.bench.fed import KAFKA, RUN, START_MS, TOPICS, Nowhere, Taken, catalogue, example, run_of
from stream.batching import PlainRecord
from stream.clock import SystemClock
from stream.events import Example, Request, json_encode, msgpack_encode
from stream.tenants import inside

SHOPS = (1, 2, 4)
WIDTH = 384
EXAMPLES, REQUESTS = 4_000, 6_400
WARM = 4
"""One in so many comes before anything counts."""


def measure(run: Run) -> Iterator[Bar]:
    """Learner, then serving."""
    for role, total in (("learner", EXAMPLES), ("serving", REQUESTS)):
        found = {
            shops: apart(f"infra.bench.tenants:{role}", shops, run.sized(total, least=4 * RUN // 2))
            for shops in SHOPS
        }
        for shops, figures in found.items():
            run.say(f"{role} of {shops}: {figures['ms']:.3g} ms each, {figures['mb']:.0f} MB")
        first, last = SHOPS[0], SHOPS[-1]
        grown = (found[last]["mb"] - found[first]["mb"]) / (last - first)
        yield Bar(
            name=f"tenants/{role}-memory",
            value=grown,
            unit="MB per shop more",
            against={f"{n} of them (MB)": found[n]["mb"] for n in SHOPS},
        )
        yield Bar(
            name=f"tenants/{role}-time",
            value=found[2]["ms"],
            unit="ms of the processor each, for two shops",
            against={f"{n} of them": found[n]["ms"] for n in SHOPS},
            ratio=found[2]["ms"] / found[1]["ms"],
        )


def _names(shops: str) -> list[str]:
    return [f"shop-{n}" for n in range(int(shops))]


def _catalogue(tenant: str) -> Catalog:
    """The made-up items, as a shop's own."""
    plain, own = catalogue(WIDTH), Catalog(WIDTH)
    items = [plain.item(row) for row in range(len(plain))]
    own.upsert([msgspec.structs.replace(i, item_id=inside(tenant, i.item_id)) for i in items])
    return own


def _example(n: int, tenant: str) -> Example:
    made = example(n)
    history = tuple(
        msgspec.structs.replace(step, item_id=inside(tenant, step.item_id)) for step in made.history
    )
    user_id, item_id = inside(tenant, made.user_id), inside(tenant, made.item_id)
    return msgspec.structs.replace(made, user_id=user_id, item_id=item_id, history=history)


def _held_mb() -> float:
    """Memory that is this process's alone: a base's mapped file is everybody's."""
    held = psutil.Process().memory_full_info()
    return float(held.uss) / 1e6


def learner(shops: str, total: str) -> Mapping[str, float]:
    """Learn so many examples of so many shops, one after the other in turns."""
    from learner.config import LearnerConfig
    from learner.drift_river import default_detectors
    from learner.examples_agent import ExamplesAgent
    from learner.online import OnlineLearner
    from learner.shops_agent import ShopsAgent, folder_of

    names, lock = _names(shops), asyncio.Lock()
    examples = [msgpack_encode(_example(n, names[n % len(names)])) for n in range(int(total))]

    async def learn(folder: Path) -> float:
        def make(tenant: str) -> ExamplesAgent:
            items = _catalogue(tenant)
            return ExamplesAgent(
                kafka=KAFKA,
                learner=OnlineLearner(items, LearnerConfig(), default_detectors()),
                publisher=Nowhere(),
                folder=folder_of(folder, tenant),
                clock=SystemClock(),
                tenant=tenant,
                lock=lock,
            )

        agent = ShopsAgent(
            kafka=KAFKA,
            publisher=Nowhere(),
            clock=SystemClock(),
            folder=folder,
            lock=lock,
            make=make,
            tenants=names,
        )
        warm, at_once = int(total) // WARM, 64
        began_s = 0.0
        for first in range(0, int(total), at_once):
            if not began_s and first >= warm:
                began_s = time.process_time()
            some = iter(examples[first : first + at_once])
            await agent.take(run_of(TOPICS.examples, some, first), Taken())
        return (time.process_time() - began_s) / (int(total) - warm) * 1000

    with tempfile.TemporaryDirectory() as folder:
        each_ms = asyncio.run(learn(Path(folder)))
    return {"ms": each_ms, "mb": _held_mb()}


def serving(shops: str, total: str) -> Mapping[str, float]:
    """Answer so many requests of so many shops, mixed in each micro-batch."""
    from infra.scorer_models import ScorerModels
    from learner.config import LearnerConfig
    from serving.answer import Answerer
    from serving.answer import Taken as Asked
    from serving.config import ServingConfig
    from serving.shops import Shops

    names, clock, config = _names(shops), SystemClock(), ServingConfig()
    models = ScorerModels(LearnerConfig())
    made = Shops(names, Catalog(WIDTH), models=models, config=config, clock=clock)
    store, chance = MemoryStore(), np.random.default_rng(0)
    for name in names:
        own = _catalogue(name)
        made.of(name).index.upsert([own.item(row) for row in range(len(own))])
        store.write([_features(inside(name, f"u{n}"), name, chance) for n in range(500)])
    who = made.recommenders
    answerer = Answerer(store, who[""], config, TOPICS, clock, recommenders=who)
    asked = [
        Asked(TOPICS.requests, 0, PlainRecord(None, json_encode(request), n, clock.now_ms()))
        for n in range(int(total))
        for request in [
            Request(request_id=f"r{n}", user_id=f"u{n % 500}", tenant=names[n % len(names)])
        ]
    ]
    warm, began_s = int(total) // WARM, 0.0
    for first in range(0, int(total), config.max_batch):
        if not began_s and first >= warm:
            began_s = time.process_time()
        answerer.answer(answerer.take(asked[first : first + config.max_batch]))
    each_ms = (time.process_time() - began_s) / (int(total) - warm) * 1000
    return {"ms": each_ms, "mb": _held_mb()}


def _features(user_id: str, tenant: str, chance: np.random.Generator) -> UserFeatures:
    items = [inside(tenant, f"item-{n}") for n in chance.integers(0, 2_000, 10).tolist()]
    return UserFeatures(
        user_id=user_id,
        updated_ms=START_MS,
        last_event_id="e",
        recent_items=tuple(items),
        recent_kinds=("click",) * len(items),
        recent_ts_ms=tuple(START_MS + k for k in range(len(items))),
        recent_ratings=(0.0,) * len(items),
        events=len(items),
    )
