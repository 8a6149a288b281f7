"""No row of an evaluation knows what comes later, and all rows count the same events."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from learner.baselines.lineup import FAMILIES
from learner.evaluation_learner import LEARNERS, Course, play_learner
from learner.evaluation_log import Protocol, examples_of, record
from learner.evaluation_rows import play_family
from learner.online import OnlineLearner
from learner.ranking_metrics import gains
from tests.unit.learner.evaluation_logs import CONFIG, ITEMS, WHOLE, catalogue, log_of, timed

Rules = dict[str, object]
event = st.tuples(
    st.sampled_from(["u", "v", "w"]), st.sampled_from(ITEMS), st.sampled_from([0, 1, 20, 2000])
)


Steps = list[tuple[str, str, int]]
a_past = st.lists(event, min_size=8, max_size=24)
a_future = st.lists(event, min_size=6, max_size=6)
a_protocol = st.fixed_dictionaries(
    {"histories": st.sampled_from(["event", "instant"]), "repeat": st.booleans()}
)


def ranks_of(model: str, steps: Steps, announced: str, rules: Rules) -> list[list[float]]:
    """Ranks by every arm: which arm stands for its family is chosen afterwards, on all events."""
    # History ends inside the past; micro-batches of 5 end wherever they do.
    cut = {"history": 4.5 / len(steps), "batch": 5, **rules}
    protocol = msgspec.convert(cut, Protocol)
    log = record(log_of(timed(steps)), catalogue(announced), protocol)
    if model in FAMILIES:
        arms = play_family(model, log, 0, lambda row, done, total: None)
        return [arm.rank_N.tolist() for arm in arms]
    course = Course(log, catalogue(announced), CONFIG, tuple, lambda row, done, total: None)
    return [play_learner([model], course)[model].rank_N.tolist()]


@pytest.mark.parametrize("model", [*FAMILIES, *LEARNERS])
@given(
    past=a_past,
    futures=st.tuples(a_future, a_future),
    announced=st.sampled_from(["", "abcd", ITEMS]),
    rules=a_protocol,
)
@settings(max_examples=6, deadline=None, phases=[Phase.generate])
def test_no_row_peeks_at_what_comes_later(
    model: str, past: Steps, futures: tuple[Steps, Steps], announced: str, rules: Rules
) -> None:
    # The futures begin later than the past ends: lines of one invoice come together.
    one, other = (
        ranks_of(model, [*past, *((u, i, 1 + m) for u, i, m in future)], announced, rules)
        for future in futures
    )
    for arm, same_arm in zip(one, other, strict=True):
        assert arm[:-6] == same_arm[:-6]


@pytest.mark.parametrize("histories", ["event", "instant"])
def test_the_learner_and_the_baselines_see_the_same_counts(
    histories: Literal["event", "instant"],
) -> None:
    # The learner's shadow is popularity at 7 days by its own counts, of its own examples.
    rows = timed([(f"u{n * n % 7}", ITEMS[n * n % 31 % 8], n % 3 * 700) for n in range(160)])
    log = record(log_of(rows), catalogue(ITEMS), Protocol(batch=4, histories=histories))
    learner = OnlineLearner(catalogue(ITEMS), msgspec.structs.replace(CONFIG, train=WHOLE))
    examples = list(examples_of(log.events, rule=log.rule))
    shadow = []
    for a, b in log.history_cuts + log.stream_cuts:
        report = learner.learn_many(examples[a:b])
        shadow += [report.ndcg10_popularity * (b - a)] if a >= log.split else []
    weekly = play_family("popularity", log, 0, lambda row, done, total: None)[1]
    assert weekly.arm == "popularity 7d"
    assert float(gains(weekly.rank_N).sum()) == pytest.approx(sum(shadow), rel=1e-6)
