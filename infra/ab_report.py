"""`tidemill ab report`: a running test, read from `outcomes`, as a table for people."""

from __future__ import annotations

from rich.table import Table

from features.outcomes import OutcomesConfig
from infra.demo.reading import read_topic
from infra.settings import Settings
from serving.ab.report import Arm, Compared, Report, report_of
from serving.ab.totals import Measure, totals_of
from stream.connect import KafkaConfig
from stream.errors import SettingsError
from stream.events import decode_outcome
from stream.topics import Topics
from stream.variants import VariantsConfig

NAMES: dict[Measure, str] = {
    "ctr": "lists clicked",
    "cvr": "lists bought from",
    "revenue": "earned per list",
}


def read_report(settings: Settings, now_ms: int) -> Report:
    """Judge the test of the settings by what `outcomes` holds of it.

    Raises
    ------
    SettingsError
        If the settings have no test, or nothing tells outcomes.
    stream.errors.Unavailable
        If the broker does not answer.
    """
    test, joined = settings.section(VariantsConfig), settings.section(OutcomesConfig)
    if not test.arms:
        msg = (
            "ab.arms is empty: there is no test to report on. Set it, for instance to "
            '[{"name": "model"}, {"name": "popularity", "ranker": "popularity"}]'
        )
        raise SettingsError(msg)
    if not joined.on:
        msg = "outcomes.on is false: set it to true, so that clicks are joined with lists"
        raise SettingsError(msg)
    kafka = settings.section(KafkaConfig)
    topic = Topics(kafka.topic_prefix).outcomes
    outcomes = (
        decode_outcome(placed.record.value)
        for placed in read_topic(kafka, topic)
        if placed.record.value is not None
    )
    names = [arm.name for arm in test.arms]
    return report_of(test.arms, totals_of(outcomes, names, now_ms - joined.click_ms))


def as_table(report: Report) -> Table:
    """A row for each measure of each variant."""
    table = Table(title="A/B test", title_justify="left")
    for name in ("variant", "users", "lists", "", "rate", "difference", "95 %, at any time", "p"):
        table.add_column(name, justify="left" if name in {"variant", ""} else "right")
    for arm in report.arms:
        for one in arm.measures:
            table.add_row(*_row(arm, one, first=one is arm.measures[0]))
        table.add_section()
    return table


def verdict(report: Report) -> str:
    """The test in a sentence or two."""
    if not report.is_sound:
        return (
            f"The users were not dealt as asked (odds {report.mismatch_odds:,.0f} to 1): look for "
            "what loses users of one variant, mend it, and start anew with another ab.salt."
        )
    proven = [
        f"{arm.name}: {NAMES[one.measure]} {'up' if (one.difference or 0) > 0 else 'down'}"
        for arm in report.arms
        for one in arm.measures
        if one.proven
    ]
    if not proven:
        return "No difference is proven. You may look again at any time."
    return f"Proven: {'; '.join(proven)}."


def _row(arm: Arm, one: Compared, *, first: bool) -> tuple[str, ...]:
    number = _money if one.measure == "revenue" else _share
    head = (arm.name, f"{arm.users:,}", f"{arm.lists:,}") if first else ("", "", "")
    rate = number(one.value) + (f" ± {number(1.96 * one.error)}" if one.error else "")
    if one.difference is None:
        return (*head, NAMES[one.measure], rate, "", "", "")
    bounds = (
        f"{number(one.low)} to {number(one.high)}"
        if one.low is not None and one.high is not None
        else "not yet"
    )
    p = "" if one.p is None else f"{one.p:.3f}"
    mark = " *" if one.proven else ""
    return (*head, NAMES[one.measure], rate, f"{number(one.difference)}{mark}", bounds, p)


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _money(value: float) -> str:
    return f"{value:.3f}"
