"""River's Page-Hinkley detector with its state held outside it.

River's detectors are objects with private fields, meant to live as long as their stream. Here a
stream is one user's, so the fields are set before a value and read after it; a recorded sequence
in the tests fails when a River release changes what they mean.
"""

from __future__ import annotations

from features.interest import InterestConfig
from features.river_import import drift
from features.shift import DetectorState

_FRESH = DetectorState()


class PageHinkleyDetector:
    """Page-Hinkley's test for a rising mean; passes for `features.shift.Detector`.

    Examples
    --------
    >>> detector = PageHinkleyDetector(InterestConfig(shift_min_events=5, shift_threshold=1.0))
    >>> state, found = DetectorState(), []
    >>> for place, value in enumerate([0.1] * 20 + [0.9] * 5):
    ...     state, risen = detector.step(state, value)
    ...     found += [place] if risen else []
    >>> found
    [21]
    """

    def __init__(self, config: InterestConfig) -> None:
        self._river = drift.PageHinkley(
            min_instances=config.shift_min_events,
            delta=config.shift_delta,
            threshold=config.shift_threshold,
            mode="up",
        )

    def step(self, state: DetectorState, value: float) -> tuple[DetectorState, bool]:
        """Take one value; return the new state, fresh after a change, and whether there was one."""
        river = self._river
        river._drift_detected = False  # noqa: SLF001
        river._x_mean.n = state.n  # noqa: SLF001
        river._x_mean._mean = state.mean  # noqa: SLF001
        river._sum_increase = state.summed  # noqa: SLF001
        river._min_increase = state.lowest  # noqa: SLF001
        river.update(value)
        if river.drift_detected:
            return _FRESH, True
        return (
            DetectorState(
                int(river._x_mean.n),  # noqa: SLF001
                float(river._x_mean.get()),  # noqa: SLF001
                float(river._sum_increase),  # noqa: SLF001
                float(river._min_increase),  # noqa: SLF001
            ),
            False,
        )
