"""The published versions of a learner, on disk and on `adapters`, as the gate has it.

What a checkpoint keeps of them: what the gate knows, which versions are live and good, and what was
still to be announced when it was written. A restart announces that, and the live version, again: to
hear of a version twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from learner.gate import Decision
from learner.online import LearnReport, OnlineLearner
from learner.referee import Referee
from learner.snapshot import Saved, Snapshots, publish_version, published_version
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Unavailable
from stream.events import AdapterVersion, Example, json_encode
from stream.outgoing import Outgoing, Publishes
from stream.tenants import item_key
from stream.topics import Topics

MODEL = "behaviour"
"""The model's name on `adapters`; a tenant's is `tenant/behaviour`."""

log = logging.getLogger(__name__)


class VersionsAgent:
    """Decides about versions, writes and announces them.

    Parameters
    ----------
    learner
        What versions are made of; it goes back to one when the gate says so.
    folder
        Where versions are kept for serving.
    tenant
        Whose learner it is.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        learner: OnlineLearner,
        publisher: Publishes,
        folder: Path,
        clock: Clock,
        tenant: str = "",
    ) -> None:
        self._model = item_key(tenant, MODEL)
        self._topic = Topics(kafka.topic_prefix).adapters
        self._learner = learner
        self._publisher = publisher
        self._versions = Snapshots(folder, learner.config.keep)
        self._referee = Referee(learner, learner.config.train.judged)
        self._clock = clock
        self._unsaid: list[AdapterVersion] = []

    @property
    def live(self) -> int | None:
        """The number of the version that serving is told to use."""
        live = self._referee.live
        return live.announced.version if live is not None else None

    @property
    def good(self) -> int | None:
        """The number of the version to go back to: its files stay, however old they are."""
        good = self._referee.good
        return good.announced.version if good is not None else None

    @property
    def unsaid(self) -> bool:
        """Whether something waits to be announced."""
        return bool(self._unsaid)

    def numbers(self) -> list[int]:
        """The versions that are there."""
        return self._versions.numbers()

    def judge(self, examples: Sequence[Example], report: LearnReport) -> None:
        """Look at examples that were just ranked and learnt."""
        self._referee.judge(examples, report)

    def decide(self) -> Decision:
        """What becomes of a version that is made now; what has to go back is back after it."""
        decision, live = self._referee.decide(), self._referee.live
        if decision == "restored":
            self._referee.restore_learner()
            log.warning("the learner goes back to version %s: it was taught rubbish", self.live)
        elif decision == "rolled-back" and live is not None:
            good = self._referee.roll_back()
            withdrawn = msgspec.structs.replace(live.announced, status="rolled-back")
            self._unsaid += [withdrawn, good]
            log.warning("version %d is rolled back to %d", withdrawn.version, good.version)
        return decision

    def meta(self, made: int | None) -> dict[str, Any]:
        """What a checkpoint keeps, where a version with this number is about to be written."""
        return {
            "gate": self._referee.gate.state(),
            "live": self.live if made is None else made,
            "before": self.live,
            "good": self.good,
            "unsaid": msgspec.to_builtins(self._unsaid),
        }

    def resume(self, meta: dict[str, Any]) -> None:
        """Go on from a checkpoint, with the newest version that is there of those live by it."""
        found: dict[str, tuple[AdapterVersion, Saved]] = {}
        for name in ("live", "before", "good"):
            number = meta.get(name)
            try:
                if number is not None:
                    found[name] = published_version(self._versions, number)
            except BadRecord as error:
                log.warning("version %d is not there to compare with: %s", number, error)
        live = found.get("live") or found.get("before")
        self._unsaid = msgspec.convert(meta.get("unsaid", []), list[AdapterVersion])
        if live is not None:
            self._referee.resume(live, found.get("good"))
            self._referee.gate.restore(meta["gate"])
            self._unsaid.append(live[0])

    async def make_live(
        self, number: int, version: Saved, decision: Decision, lock: asyncio.Lock
    ) -> None:
        """Write a version, and have the newest examples ranked by it from now on."""
        recent = {name: mean.value for name, mean in self._learner.recent.items()}
        announced = await asyncio.to_thread(
            lambda: publish_version(
                self._versions,
                number,
                version,
                model=self._model,
                parent=self.live,
                created_ms=self._clock.now_ms(),
                figures={
                    "loss": version.meta["last_loss"],
                    "ndcg10": recent["prior" if decision == "prior" else "online"],
                    "ndcg10_popularity": recent["popularity"],
                },
                pinned=() if self.good is None else (self.good,),
            )
        )
        self._unsaid.append(announced)
        async with lock:  # the catalogue stands still
            await asyncio.to_thread(self._referee.publish, announced, version)

    async def say(self) -> None:
        """Announce what waits to be announced, in its order."""
        while self._unsaid:
            record = Outgoing(self._model.encode(), json_encode(self._unsaid[0]))
            try:
                await self._publisher.publish(self._topic, [record])
            except Unavailable as error:
                log.warning("a version waits to be announced: %s", error)
                continue
            del self._unsaid[0]
