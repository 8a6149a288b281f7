"""The same world under hypothesis: what fails shrinks to the few steps that it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.simulation import wrong
from tests.simulation.world import World

NAMES = ("ip-0", "ip-1", "learner-0", "serving-0", "serving-1")
QUICK = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Stack(RuleBasedStateMachine):
    """Every role, and what may happen to it."""

    world_class: type[World] = World

    @initialize(seed=st.integers(0, 1_000))
    def start(self, seed: int) -> None:
        """An empty world; the seed draws what is sent, and the sizes of runs."""
        self.world = self.world_class(seed)

    @rule(times=st.integers(1, 8))
    def send(self, times: int) -> None:
        """Producers send."""
        self._do(self.world.send, times)

    @rule(times=st.integers(1, 60))
    def work(self, times: int) -> None:
        """Processes go on."""
        self._do(self.world.work, times)

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.clock.advance(seconds)

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        """Kill a process, or start it again."""
        member = self.world.members[name]
        if member.state == "down":
            self._do(lambda: self.world.restart(member))
        else:
            self._do(lambda: self.world.kill(member))

    @rule(name=st.sampled_from(NAMES))
    def give_up(self, name: str) -> None:
        """The group gives a process up; the next time, it wakes, and then it learns."""
        member = self.world.members[name]
        if member.state == "up":
            self._do(lambda: self.world.give_up(member))
        elif member.state != "down":
            self._do(lambda: self.world.wake(member))

    @rule(neighbour=st.sampled_from(["broker", "store"]))
    def leave(self, neighbour: str) -> None:
        """A neighbour is away, or back."""
        self.world.toggle(neighbour)

    def teardown(self) -> None:
        """Everything is brought up, drained and judged."""
        if not hasattr(self, "world"):
            return
        verdict = self.world.run(0).verdict
        assert verdict.clean, verdict

    def _do(self, act: Callable[[], None], times: int = 1) -> None:
        with self.world.running():
            for _ in range(times):
                act()


class Wrong(Stack):
    """The same, with a process that acknowledges too early."""

    world_class = wrong.AcknowledgesFirst


def test_any_order_of_things() -> None:
    run_state_machine_as_test(Stack, settings=QUICK)


def test_a_commit_before_its_effect_is_found() -> None:
    # Without the shrinking, which takes a person's patience, not a test's.
    generate = [Phase.generate]
    found = settings(QUICK, max_examples=200, database=None, print_blob=False, phases=generate)
    with pytest.raises(AssertionError, match="lost|double"):
        run_state_machine_as_test(Wrong, settings=found)
