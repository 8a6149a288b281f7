"""The evaluation's protocol, on logs whose answers a reader can see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import torch

from learner.evaluation_learner import VARIANTS
from learner.evaluation_log import Protocol
from learner.prequential import ROWS, Evaluation, evaluate
from tests.unit.learner.evaluation_logs import CONFIG, DAY_MS, Rows, catalogue, chain, log_of


def played(
    rows: Rows, models: Sequence[str], announced: str = "", **protocol: object
) -> Evaluation:
    cut = msgspec.convert({"batch": 4, **protocol}, Protocol)
    return evaluate(log_of(rows), catalogue(announced), models, protocol=cut, config=CONFIG)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_row_is_measured_on_the_same_events() -> None:
    found = played(chain(20), ROWS, history=0.5)
    assert [row.model for row in found.rows] == list(ROWS)
    assert (found.events, found.streamed, found.items, found.users) == (200, 100, 4, 10)
    assert all(found.gains[name].shape == (100,) for name in ROWS)
    assert all(row.recall10 == row.hr10 == 10 * row.precision10 == 1.0 for row in found.rows)


def test_what_comes_next_is_found_by_those_who_look_at_the_last_item() -> None:
    found = played(chain(20), ("popularity", "covisitation", "blend", "online"), history=0.5)
    assert found.row("covisitation").arm == "covisitation next"
    assert found.row("covisitation").ndcg10 == 1.0
    assert found.row("blend").ndcg10 == 1.0
    assert found.row("online").ndcg10 > 0.95
    assert found.row("popularity").ndcg10 < 0.8
    best = found.best_baseline()
    assert best is not None and best.model == "covisitation"
    low, high = found.lead("covisitation", over="popularity")
    assert 0.2 < low <= high


def test_variants_are_played_on_demand() -> None:
    found = played(chain(20), ("online", *VARIANTS), history=0.5)
    assert [row.model for row in found.rows] == ["online", *VARIANTS]
    assert not set(VARIANTS) & set(ROWS)


@pytest.mark.parametrize("model", ROWS)
def test_an_item_that_is_not_in_the_catalogue_yet_is_a_miss(model: str) -> None:
    rows = [*chain(4), ("u0", "new", 9_000_000), ("u1", "new", 9_000_001)]
    found = played(rows, [model], history=0.95, batch=1)
    first, again = found.gains[model].tolist()[-2:]
    assert first == 0.0
    # It is known from then on to whoever learns; the frozen learner has never heard of it, and
    # between two retrainings on one day neither has the other.
    assert (again > 0) == (model not in {"frozen", "retrained-daily"})


@pytest.mark.parametrize("model", ROWS)
def test_an_announced_item_is_ranked_before_its_first_event(model: str) -> None:
    rows = [*chain(4), ("u0", "e", 9_000_000)]
    found = played(rows, [model], history=0.98, batch=1, announced="abcde")
    assert found.gains[model][-1] > 0.0
    assert found.row(model).cold_item_share == 1.0
    assert found.row(model).cold_item_hr10 == 1.0


@pytest.mark.parametrize("model", ROWS)
def test_what_a_user_had_is_a_miss_only_without_repeats(model: str) -> None:
    kept = played(chain(8), [model], history=0.5, repeat=True)
    masked = played(chain(8), [model], history=0.5, repeat=False)
    assert kept.gains[model].min() > 0.0
    assert masked.gains[model].max() == 0.0  # everybody has been round once
    assert (kept.mask_consumed, masked.mask_consumed) == (False, True)


def test_repeats_are_ranked_where_the_history_has_some() -> None:
    assert not played(chain(8), ["popularity"]).mask_consumed
    once = [(f"u{n % 10}", f"i{n // 10}", n * 60_000) for n in range(100)]
    assert played(once, ["popularity"]).mask_consumed


def test_the_clock_of_invoices_is_noticed() -> None:
    invoices = [(f"u{n // 4 % 5}", "abcd"[n % 4], n // 4 * 60_000) for n in range(80)]
    assert played(invoices, ["covisitation"]).histories == "instant"
    assert played(chain(8), ["covisitation"]).histories == "event"


@pytest.mark.parametrize("model", ["covisitation", "prior", "stacking"])
def test_one_line_of_an_invoice_does_not_tell_the_next(model: str) -> None:
    # An invoice holds a and b, always in this order, and is all that its user ever buys.
    rows = [(f"u{n // 2}", "ab"[n % 2], n // 2 * 60_000) for n in range(80)]
    told = played(rows, [model], history=0.5, histories="event", repeat=True)
    untold = played(rows, [model], history=0.5, histories="instant", repeat=True)
    of_b = np.arange(40) % 2 == 1
    assert told.gains[model][of_b].mean() > untold.gains[model][of_b].mean()


def test_the_frozen_learner_stays_and_the_daily_one_follows() -> None:
    # From the fifth day on the chain runs the other way round.
    forth = chain(12, gap_ms=DAY_MS // 30)
    back = [(u, "dcba"["abcd".index(i)], ms + 4 * DAY_MS) for u, i, ms in forth]
    found = played(forth + back, ("frozen", "retrained-daily", "online"), history=0.5, batch=5)
    late = slice(-30, None)
    mean = {name: float(gain[late].mean()) for name, gain in found.gains.items()}
    assert mean["frozen"] < mean["retrained-daily"]
    assert mean["frozen"] < mean["online"]
    assert found.row("retrained-daily").arm == "3 times, one pass"
    assert found.row("retrained-daily").train_s > found.row("frozen").train_s


def test_retraining_from_the_start_is_learning_a_day_at_its_end() -> None:
    rows = chain(12, gap_ms=DAY_MS // 30)
    daily = played(rows, ["retrained-daily"], history=0.5, batch=5).gains["retrained-daily"]
    # Day 2 ends with event 90: a learner whose history reaches that far, and that then stays as it
    # is, ranks day 3 as the retrained one does.
    anew = played(rows, ["frozen"], history=0.75, batch=5).gains["frozen"]
    assert len(anew) == 30
    assert daily[30:].tolist() == anew.tolist()


def test_seeds_are_averaged_and_kept() -> None:
    found = evaluate(
        log_of(chain(8)),
        catalogue(),
        ("popularity", "bpr", "stacking"),
        protocol=Protocol(batch=4, history=0.5),
        config=CONFIG,
        seeds=2,
    )
    assert [len(row.ndcg10_seeds) for row in found.rows] == [1, 2, 2]
    bpr = found.row("bpr")
    assert bpr.ndcg10 == pytest.approx(sum(bpr.ndcg10_seeds) / 2)
    assert float(found.gains["bpr"].mean()) == pytest.approx(bpr.ndcg10)


def test_the_split_stays_where_it_is_when_the_stream_is_cut() -> None:
    whole = played(chain(20), ["covisitation"], history=0.5)
    part = played(chain(20), ["covisitation"], history=0.5, stream_max=30)
    assert part.streamed == 30
    assert part.gains["covisitation"].tolist() == whole.gains["covisitation"][:30].tolist()


def test_a_strange_row_and_an_empty_stream_are_refused() -> None:
    with pytest.raises(ValueError, match="no row called magic: choose from popularity"):
        played(chain(2), ["magic"])
    with pytest.raises(ValueError, match="nothing to stream"):
        played([], ["popularity"])


def test_figures_without_events_are_nan_not_zero() -> None:
    row = played(chain(20), ["popularity"], history=0.5).row("popularity")
    assert row.cold_item_share == 0.0
    assert math.isnan(row.cold_item_hr10)
