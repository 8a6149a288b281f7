"""A role's page of metrics, read as a shop's own Prometheus would read it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from infra.config import MetricsConfig
from infra.metrics_access import read_page

TIMEOUT_S = 2.0
"""A role that doesn't answer its metrics within this time counts as down on the screen."""

WINDOW_S = 5.0
"""Rates are means over this time: shorter flickers, longer lags behind."""


@dataclass
class Samples:
    r"""The samples of one page.

    >>> page = Samples.parse('x_total{kind="a"} 2\nx_total{kind="b"} 3\n')
    >>> page.total("x_total"), page.total("x_total", kind="a"), page.total("y_total")
    (5.0, 2.0, 0.0)
    """

    rows: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Samples:
        """Read the text format."""
        return cls(
            [
                (sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            ]
        )

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples with these labels."""
        wanted = labels.items()
        return sum(
            (value for found, has, value in self.rows if found == name and wanted <= has.items()),
            start=0.0,
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels."""
        return {has[label]: value for found, has, value in self.rows if found == name}


def scrape(url: str, config: MetricsConfig | None = None) -> Samples | None:
    """Fetch a page; nothing, if the process doesn't answer."""
    try:
        return Samples.parse(read_page(url, config or MetricsConfig(), TIMEOUT_S).decode())
    except (OSError, ValueError):
        return None


@dataclass
class Rate:
    """How fast a counter rises.

    >>> rate = Rate()
    >>> rate.update(0.0, 100), rate.update(2.0, 150)
    (0.0, 25.0)
    >>> rate.update(3.0, 0)  # the process was restarted and counts from zero
    0.0
    """

    _points: deque[tuple[float, float]] = field(default_factory=deque)

    def update(self, now_s: float, count: float) -> float:
        """Take the counter's value; the rate per second over the window."""
        if self._points and count < self._points[-1][1]:
            self._points.clear()
        self._points.append((now_s, count))
        while now_s - self._points[0][0] > WINDOW_S and len(self._points) > 2:  # noqa: PLR2004
            self._points.popleft()
        first_s, first = self._points[0]
        return (count - first) / (now_s - first_s) if now_s > first_s else 0.0
