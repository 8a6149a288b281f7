"""A replay keeps the pace asked for, and a stall is not followed by a burst."""

from __future__ import annotations

import pytest

from infra.pace import Pace, parse_speed
from stream.clock import ManualClock
from stream.errors import SettingsError


def play(pace: Pace, clock: ManualClock, times: list[int]) -> list[float]:
    """The seconds at which records of these times are sent."""
    sent = []
    for ts_ms in times:
        clock.advance(pace.wait_s(ts_ms))
        sent.append(round(clock.monotonic_s(), 3))
    return sent


def test_speed_shrinks_the_gaps_of_the_recording() -> None:
    clock = ManualClock()
    assert play(Pace(clock, speed=1), clock, [5_000, 6_000, 6_000, 9_000]) == [0, 1, 1, 4]
    clock = ManualClock()
    assert play(Pace(clock, speed=100), clock, [5_000, 6_000, 9_000]) == [0, 0.01, 0.04]


def test_rate_ignores_the_recordings_times() -> None:
    clock = ManualClock()
    assert play(Pace(clock, rate_per_s=4), clock, [0, 99_999_999, 5]) == [0, 0.25, 0.5]


def test_without_either_nothing_waits() -> None:
    clock = ManualClock()
    assert play(Pace(clock), clock, [0, 10**12]) == [0, 0]


def test_work_between_records_is_taken_off_the_wait() -> None:
    clock = ManualClock()
    pace = Pace(clock, speed=1)
    assert pace.wait_s(0) == 0
    clock.advance(0.4)
    assert pace.wait_s(1_000) == pytest.approx(0.6)


def test_after_a_stall_the_stream_goes_on_at_its_pace() -> None:
    clock = ManualClock()
    pace = Pace(clock, rate_per_s=10)
    pace.wait_s(0)
    clock.advance(60)
    assert pace.wait_s(0) == 0
    assert pace.wait_s(0) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "nan", "inf"])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--speed must be"):
        parse_speed(text)


def test_speed_and_rate_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="not both"):
        Pace(ManualClock(), speed=1, rate_per_s=1)
    with pytest.raises(SettingsError, match="above 0, got 0"):
        Pace(ManualClock(), rate_per_s=0)
