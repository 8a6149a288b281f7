"""How soon a shop reads a list that knows what a user just did: the whole stack, all roles.

The clock starts when the shop produces a click, and stops when a consumer with `read_committed`
holds a recommendation that has seen it. In between are ingest, profile, the online store, serving
and a transaction. Two ways lead there, and both are measured:

- `pushed`: serving answers a user's own event unasked. Events that come within
  `serving.push_debounce_s` of a user's list wait it out; they count like all others.
- `asked`: the page asks at the same moment as it reports the event, and again at once while the
  answer doesn't know the event yet. How many first answers knew it is said beside.

The simulated shop acts in real time: a shopper does something every ten seconds or so, and as many
are there as it takes. Amazon Personalize says 1 to 2 s, Shaped under 30 s, Gorse 10 s (its cache).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infra.bench.apart import Failed, apart
from infra.bench.bar import Bar, Run
from infra.bench.shopping import stock
from infra.bench.stack import OwnStack
from infra.settings import Settings

RATES = (10, 100, 500)
SECONDS = 20.0
ITEMS_S = 240.0
SEED = 7

P50_MS, P99_MS = 50.0, 250.0
OTHERS_MS = {"Personalize, published": 1_500.0, "Gorse, published": 10_000.0}

METRICS = ("supervisor", "ingest_profile", "learner", "serving")


def measure(run: Run) -> Iterable[Bar]:
    """Play the shop at each rate."""
    seconds = max(5.0, SECONDS * min(1.0, run.size))
    with OwnStack(run.folder, stack_settings(**{"serving.push": True})) as stack:
        servers = stack.broker.bootstrap_servers
        run.say("the roles are at work")
        known = stock(servers, SEED, ITEMS_S)
        if not known:
            message = "no item has a vector: the learner's log says why"
            raise Failed(message)
        run.say(f"{known} items have their vectors")
        for number, per_s in enumerate(RATES):
            run.say(f"{per_s} events a second")
            yield from bars(
                per_s, apart("infra.bench.shopping:play", servers, per_s, seconds, SEED + number)
            )


def stack_settings(**values: object) -> Settings:
    """Settings of a stack whose topics have no prefix, with its metrics on free ports."""
    fixed: dict[str, object] = {f"metrics.{name}": 0 for name in METRICS}
    return Settings.load(environ={}).with_values(
        {"kafka.topic_prefix": "", **fixed, **values}, "the bench"
    )


def bars(per_s: int, seen: Mapping[str, float]) -> list[Bar]:
    """What one rate found, as bars."""
    hops = {
        "on events p50": seen["ingest_p50"],
        "on examples p50": seen["profile_p50"],
        "from examples to list p50": seen["serving_p50"],
        "of that, made in p50": seen["made_p50"],
    }
    return [
        _bar(f"latency/pushed-{per_s}", seen, "pushed", {**OTHERS_MS, **hops}),
        _bar(
            f"latency/asked-{per_s}",
            seen,
            "asked",
            {"of first answers knew, %": 100 * seen["knew_at_once"]},
        ),
    ]


def _bar(name: str, seen: Mapping[str, float], way: str, against: Mapping[str, float]) -> Bar:
    p50, p99 = seen[f"{way}_p50"], seen[f"{way}_p99"]
    some = p50 > 0 and seen["answered"] > 0
    return Bar(
        name=name,
        value=p50,
        unit="ms",
        against={"p90": seen[f"{way}_p90"], "p99": p99, **against},
        bar=f"p50 ≤ {P50_MS:g} ms, p99 ≤ {P99_MS:g} ms",
        holds=some and p50 <= P50_MS and p99 <= P99_MS,
    )
