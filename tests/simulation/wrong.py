"""Processes with a fault that each of the product's rules is there against.

They prove that the simulation can fail: each has to be caught within a few seeds.
"""

from __future__ import annotations

from stream.batching import Run
from stream.ledger import Ledger
from tests.simulation.learner_worker import LearnerWorker
from tests.simulation.member import Delivery
from tests.simulation.profile_worker import ProfileWorker
from tests.simulation.serving_worker import ServingWorker
from tests.simulation.table import Table
from tests.simulation.world import World


class EagerLedger(Ledger):
    """Commits what was fetched, whether or not it is done."""

    def committable(self) -> int | None:
        """The newest offset that was fetched."""
        newest = self._newest + 1
        return newest if newest > (self._committed or 0) else None


class EagerProfile(ProfileWorker):
    """Commits past the work in flight."""

    ledger = EagerLedger


class EagerLearner(LearnerWorker):
    """Commits past what its checkpoint includes, and trusts the group's offset alone."""

    ledger = EagerLedger

    def start_offset(self, tp: tuple[str, int]) -> None:
        """Nowhere of its own."""
        del tp


class AcknowledgingFirst(ProfileWorker):
    """Acknowledges a run before it is handled."""

    async def handle(self, run: Run, delivery: Delivery) -> None:
        """Acknowledge, then handle."""
        delivery.ack()
        await super().handle(run, delivery)


class OpenServing(ServingWorker):
    """Answers without a transaction: a process that was given up is heard all the same."""

    fenced = False


class BlindTable(Table):
    """Never asks the group, and takes whatever was written last."""

    def ask_group(self) -> None:
        """Don't."""

    def apply(self, values: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
        """Take a change, however old."""
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


class BlindProfile(ProfileWorker):
    """Writes states as a zombie."""

    make_table = BlindTable


class CommitsPastWork(World):
    """A wrong commit rule."""

    profile_worker = EagerProfile


class LearnerCommitsPastWork(World):
    """A wrong commit rule of the learner."""

    learner_worker = EagerLearner


class AcknowledgesFirst(World):
    """A commit before the effect."""

    profile_worker = AcknowledgingFirst


class AnswersUnfenced(World):
    """Answers of zombies."""

    serving_worker = OpenServing


class WritesBlindly(World):
    """States of zombies."""

    profile_worker = BlindProfile
