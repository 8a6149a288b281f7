"""All baselines by family: a family is judged by the best of its members, whichever that is.

Picking the best afterwards favours the baselines, which is the right side to err on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from learner.baselines.blend import WEIGHTS, Blend
from learner.baselines.bpr import BprConfig, BprMf
from learner.baselines.covisitation import CoVisitation, NextItem, Window
from learner.baselines.full_ranking import RankingConfig
from learner.baselines.popularity import HALF_LIVES_DAYS, Popularity
from learner.baselines.protocol import Baseline
from learner.baselines.session_knn import SessionKnn

FAMILIES = ("popularity", "covisitation", "session-knn", "blend", "bpr", "river")
"""In the order of the table."""

Maker = Callable[[], Baseline]
"""Makes a fresh model, so that only the one that plays takes memory."""


def family(name: str, config: RankingConfig, *, seed: int = 0) -> list[Maker]:
    """Makers of a family's members.

    Parameters
    ----------
    name
        One of `FAMILIES`.
    config
        What is ranked, and with which knowledge.
    seed
        Of the families that draw numbers, `bpr` and `river`.

    Raises
    ------
    ValueError
        If there is no such family.

    Examples
    --------
    >>> [make().name for make in family("popularity", RankingConfig(n_items=3))]
    ['popularity 1d', 'popularity 7d', 'popularity 30d', 'popularity ever']
    """
    items = config.n_items
    match name:
        case "popularity":
            return [partial(Popularity, config, days) for days in HALF_LIVES_DAYS]
        case "covisitation":
            return [
                lambda: CoVisitation("covisitation next", config, NextItem(items)),
                lambda: CoVisitation("covisitation window", config, Window(items)),
            ]
        case "session-knn":
            return [partial(SessionKnn, config)]
        case "blend":
            return [
                partial(_blend, config, kind, weight, days)
                for kind in ("next", "window")
                for weight in WEIGHTS
                for days in HALF_LIVES_DAYS
            ]
        case "bpr":
            return [partial(BprMf, config, BprConfig(seed=seed))]
        case "river":
            return [partial(_river, config, seed)]
        case _:
            message = f"no family of baselines called {name!r}: choose from {', '.join(FAMILIES)}"
            raise ValueError(message)


def _blend(config: RankingConfig, kind: str, weight: float, days: float) -> Blend:
    evidence = NextItem(config.n_items) if kind == "next" else Window(config.n_items)
    return Blend(config, evidence, weight=weight, half_life_days=days, kind=kind)


def _river(config: RankingConfig, seed: int) -> Baseline:
    # Imported when asked for: every other model runs on a machine without River.
    from learner.baselines.reco_river import RiverBiasedMf, RiverConfig  # noqa: PLC0415

    return RiverBiasedMf(config, RiverConfig(seed=seed))
