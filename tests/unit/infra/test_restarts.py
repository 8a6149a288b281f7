"""Restarts: longer and longer pauses, forgiveness, and the end of patience."""

from __future__ import annotations

import pytest

from infra.config import SuperviseConfig
from infra.restarts import RestartPolicy
from stream.clock import ManualClock
from stream.errors import Halt


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def policy(clock: ManualClock) -> RestartPolicy:
    config = SuperviseConfig(backoff_s=1, backoff_max_s=5, healthy_s=60, start_tries=3)
    return RestartPolicy("learner", config, clock)


def crash_at_work(policy: RestartPolicy) -> float:
    policy.started()
    policy.ready()
    return policy.ended(-9, "killed by SIGKILL")


def test_pauses_double_up_to_a_limit(policy: RestartPolicy) -> None:
    assert [crash_at_work(policy) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_healthy_minute_forgives(policy: RestartPolicy, clock: ManualClock) -> None:
    for _ in range(4):
        crash_at_work(policy)
    policy.started()
    policy.ready()
    clock.advance(60)
    assert policy.ended(1, "exit code 1") == 1


def test_failed_starts_in_a_row_are_counted_and_end_it(policy: RestartPolicy) -> None:
    for _ in range(2):
        policy.started()
        policy.ended(1, "no such model")
    crash_at_work(policy)  # it came to work: the count begins anew
    for _ in range(2):
        policy.started()
        policy.ended(1, "no such model")
    policy.started()
    with pytest.raises(Halt, match=r"learner failed to start 3 times \(no such model\)"):
        policy.ended(1, "no such model")


def test_a_role_that_gives_up_again_and_again_is_not_started_for_ever(
    policy: RestartPolicy, clock: ManualClock
) -> None:
    def gives_up_after(seconds: float) -> float:
        policy.started()
        policy.ready()
        clock.advance(seconds)
        return policy.ended(3, "51 of the last 1000 records")

    assert [gives_up_after(61) for _ in range(2)] == [1, 1]
    # Time at work doesn't forgive it, an hour does.
    clock.advance(3_600)
    assert [gives_up_after(61) for _ in range(2)] == [1, 1]
    with pytest.raises(Halt, match=r"learner gave up 3 times \(51 of the last 1000 records\)"):
        gives_up_after(61)


def test_wrong_settings_are_not_tried_again(policy: RestartPolicy) -> None:
    policy.started()
    with pytest.raises(Halt, match=r"can't start with these settings \(kafka\.partitions"):
        policy.ended(2, "kafka.partitions must be …")
