"""What the screen shows at one moment: plain data, filled in by `watch.py`, drawn by `view.py`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from stream.events import InterestShift, Recommendation

KEPT = 12
"""The newest shifts and recommendations that are kept: more than a tall terminal shows."""

CURVE = 600
"""Points of the accuracy curve, one a second: ten minutes, then the older half is thinned out."""

Health = Literal["starting", "ready", "down"]


@dataclass
class Role:
    """One process of the stack."""

    name: str
    health: Health = "starting"
    restarts: int = 0
    metrics_url: str = ""


@dataclass
class Curve:
    """NDCG@10 over time; old points get sparser, so that the whole run stays on it."""

    points: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Append the newest value.

        >>> curve = Curve()
        >>> for second in range(CURVE + 1):
        ...     curve.add(float(second))
        >>> curve.points[:3], curve.points[-1], len(curve.points) < CURVE
        ([0.0, 2.0, 4.0], 600.0, True)
        """
        self.points.append(value)
        if len(self.points) > CURVE:
            older = self.points[: CURVE // 2]
            self.points = older[::2] + self.points[CURVE // 2 :]

    @property
    def newest(self) -> float | None:
        """The last value, if there is one."""
        return self.points[-1] if self.points else None


@dataclass
class Scene:
    """Everything that is on the screen."""

    phase: str = "starting"
    notice: str = ""
    elapsed_s: float = 0.0
    sent: int = 0
    planned: int | None = None
    events_per_s: float = 0.0
    answers: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    learnt: int = 0
    updates: int = 0
    version: int | None = None
    online: Curve = field(default_factory=Curve)
    popularity: Curve = field(default_factory=Curve)
    shift_count: int = 0
    shifts: deque[InterestShift] = field(default_factory=lambda: deque(maxlen=KEPT))
    recommendations: deque[Recommendation] = field(default_factory=lambda: deque(maxlen=KEPT))
    roles: list[Role] = field(default_factory=list)
