"""What searches are answered with in a serving process, and where their clicks come from."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from kafka.errors import KafkaError

from learner.search.fusion import HeadState, SearchHead, fits
from learner.snapshot import replace_file
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from serving.search.config import SearchConfig
from serving.search.dense import Encodes, QueryVectors
from serving.search.engine import Engine
from stream.batching import Record
from stream.broadcast import BroadcastReader
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Outcome, decode_outcome
from stream.tenants import inside
from stream.topics import Topics

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Pause between two looks at what was clicked."""

KEEP_S = 60.0
"""Pause between two copies of what a shop's search has learnt on the disk."""


class SearchParts:
    """Makes the searches of each shop of a process.

    Parameters
    ----------
    config
        How to search.
    encoder
        Gives the text encoder, or `None` while there is none: words alone decide then.
    folder
        Where what is learnt is kept.
    kafka
        Where clicks are told; `None` where nobody tells them: nothing is learnt then.
    """

    def __init__(
        self,
        config: SearchConfig,
        encoder: Callable[[], Encodes | None],
        folder: Path,
        kafka: KafkaConfig | None = None,
    ) -> None:
        self._config = config
        self._vectors = QueryVectors(encoder)
        self._folder = folder
        self._kafka = kafka

    def of_shop(self, tenant: str, recommender: Recommender) -> SearchAnswers | None:
        """The searches of one shop; `None` where search is off."""
        if not self._config.on:
            return None
        head = SearchHead(_kept(self._file(tenant)))
        catalog = recommender.index.catalog
        return SearchAnswers(
            Engine(catalog, self._vectors, head, self._config), recommender, self._config
        )

    def clicks(self, searches: Mapping[str, SearchAnswers]) -> Clicks | None:
        """What lets searches hear of their clicks; `None` where nothing is to be learnt."""
        if self._kafka is None or not searches or not self._config.lists:
            return None
        files = {tenant: self._file(tenant) for tenant in searches}
        return Clicks(self._kafka, searches, files)

    def _file(self, tenant: str) -> Path:
        # Apart, as a tenant may be called `shop` as well.
        return self._folder / (f"tenants/{tenant}.json" if tenant else "shop.json")


class Clicks:
    """Follows `outcomes`, and keeps what is learnt of it."""

    def __init__(
        self,
        kafka: KafkaConfig,
        searches: Mapping[str, SearchAnswers],
        files: Mapping[str, Path],
    ) -> None:
        self._reader = BroadcastReader(kafka, Topics(kafka.topic_prefix).outcomes, from_end=True)
        self._searches = searches
        self._files = files
        self._looked_s = self._kept_s = time.monotonic()
        self._written: dict[str, int] = {}
        self._turns = itertools.cycle(searches)  # One at a time: a request waits for each.

    def follow(self) -> None:
        """Learn what was clicked since the last look; at most every second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        try:
            self._reader.poll(self._hear, 0.0)
        except (Unavailable, KafkaError) as error:
            _log.warning("clicks on searches aren't followed now: %s", error)
        if now_s - self._kept_s >= KEEP_S / len(self._searches):
            self._kept_s = now_s
            self._keep(next(self._turns))

    def keep(self) -> None:
        """Write what was learnt since the last time to the disk, if it takes it."""
        for tenant in self._searches:
            self._keep(tenant)

    def _keep(self, tenant: str) -> None:
        state = self._searches[tenant].engine.head.state
        if state.lists == self._written.get(tenant, 0):
            return
        try:
            replace_file(self._files[tenant], msgspec.json.encode(state))
        except OSError as error:
            _log.warning("what search has learnt can't be kept now: %s", error)
        else:
            self._written[tenant] = state.lists

    def close(self) -> None:
        """Keep what was learnt, and disconnect."""
        self.keep()
        self._reader.close()

    def _hear(self, record: Record) -> None:
        try:
            outcome: Outcome = decode_outcome(record.value or b"")
        except msgspec.MsgspecError as error:
            _log.warning("outcomes@%d is no outcome: %s; skipped", record.offset, error)
            return
        searches = self._searches.get(outcome.tenant or "")
        if searches is not None:
            searches.clicked(outcome, inside(outcome.tenant or "", outcome.item_id))


def _kept(file: Path) -> HeadState | None:
    """What was learnt before, where there is such a file and it fits."""
    try:
        state = msgspec.json.decode(file.read_bytes(), type=HeadState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("%s is not what search has learnt: %s; it starts anew", file, error)
        return None
    if not fits(state):
        _log.warning("%s is of another release; search starts to learn anew", file)
        return None
    return state
