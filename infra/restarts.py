"""When a process that ended is started again, and when to give up."""

from __future__ import annotations

from infra.config import SuperviseConfig
from stream.clock import Clock
from stream.errors import TOO_MANY_REFUSED_EXIT, Halt

SETTINGS_EXIT = 2
"""The exit code of a process whose settings are wrong: another start would find the same."""


HALTS_WITHIN_S = 3_600.0
"""A process that gives up because too many records fail on it may be wrong, or helped by a new
start. After `start_tries` of them within this time somebody has to look."""


class RestartPolicy:
    """Exponential backoff for one process, forgiven after a healthy while.

    Examples
    --------
    >>> from stream.clock import ManualClock
    >>> clock = ManualClock()
    >>> policy = RestartPolicy("learner", SuperviseConfig(), clock)
    >>> waits = []
    >>> for _ in range(3):
    ...     policy.started()
    ...     policy.ready()
    ...     waits.append(policy.ended(-9, "killed"))
    >>> policy.started()
    >>> policy.ready()
    >>> clock.advance(60)
    >>> waits, policy.ended(-9, "killed")
    ([0.5, 1.0, 2.0], 0.5)
    """

    def __init__(self, name: str, config: SuperviseConfig, clock: Clock) -> None:
        self._name = name
        self._config = config
        self._clock = clock
        self._crashes = 0
        self._failed_starts = 0
        self._halts: list[float] = []
        self._ready_since_s: float | None = None

    def started(self) -> None:
        """The process was started."""
        self._ready_since_s = None

    def ready(self) -> None:
        """The process is at work."""
        self._failed_starts = 0
        self._ready_since_s = self._clock.monotonic_s()

    def ended(self, code: int, reason: str) -> float:
        """Count an end that nobody asked for; returns the seconds to wait before the next start.

        Raises
        ------
        Halt
            If its settings are wrong, it failed too often in a row before it was at work, or too
            many records failed on it too often within `HALTS_WITHIN_S`.
        """
        config, since_s = self._config, self._ready_since_s
        if code == SETTINGS_EXIT:
            msg = f"{self._name} can't start with these settings ({reason})"
            raise Halt(msg)
        if code == TOO_MANY_REFUSED_EXIT:
            self._count_halt(reason)
        if since_s is None:
            self._failed_starts += 1
            if self._failed_starts >= config.start_tries:
                msg = f"{self._name} failed to start {self._failed_starts} times ({reason})"
                raise Halt(msg)
        elif self._clock.monotonic_s() - since_s >= config.healthy_s:
            self._crashes = 0
        wait_s = min(config.backoff_s * 2.0**self._crashes, config.backoff_max_s)
        self._crashes += 1
        return wait_s

    def _count_halt(self, reason: str) -> None:
        # Running for a while forgives nothing here: the fault may need a while to add up.
        now_s = self._clock.monotonic_s()
        self._halts = [at_s for at_s in self._halts if now_s - at_s < HALTS_WITHIN_S] + [now_s]
        if len(self._halts) >= self._config.start_tries:
            msg = f"{self._name} gave up {len(self._halts)} times ({reason})"
            raise Halt(msg)
