"""Topics that every serving process hears whole: read at the start, then looked at ever again."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from kafka.errors import KafkaError

from stream.broadcast import BroadcastReader, OnRecord
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.errors import Unavailable

_log = logging.getLogger(__name__)


class Followed:
    """Some topics that are looked at together.

    Parameters
    ----------
    what
        What they are called in the log.
    every_s
        Pause between two looks.
    takes
        Who takes the records of each topic, by its full name; they are read in this order.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        clock: Clock,
        what: str,
        every_s: float,
        takes: Mapping[str, OnRecord],
    ) -> None:
        self._readers = {topic: BroadcastReader(kafka, topic) for topic in takes}
        self._takes = takes
        self._clock = clock
        self._what = what
        self._every_s = every_s
        self._looked_s = -math.inf

    def load(self, timeout_s: float) -> int:
        """Read each topic to its end as of now, for so long; says how many records there were.

        Raises
        ------
        Unavailable
            If the broker doesn't answer, or not in time; the next call goes on from there.
        """
        return sum(
            self._readers[topic].load(take, timeout_s) for topic, take in self._takes.items()
        )

    def follow(self) -> int | None:
        """Take what is new, without waiting for it; a broker that is away changes nothing here.

        Returns
        -------
        int or None
            How many records there were; `None` where it isn't time to look yet.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_s < self._every_s:
            return None
        self._looked_s = now_s
        count = 0
        try:
            for topic, take in self._takes.items():
                count += self._readers[topic].poll(take, 0.0)
        except (Unavailable, KafkaError) as error:
            _log.warning("%s not followed now: %s", self._what, error)
        return count

    def first_offsets(self, topic: str) -> Mapping[int, int]:
        """Where each partition of one of them begins now; nothing while the broker is away."""
        try:
            return self._readers[topic].first_offsets()
        except (Unavailable, KafkaError) as error:
            _log.warning("it is not known where %s begins: %s", topic, error)
            return {}

    def close(self) -> None:
        """Disconnect."""
        for reader in self._readers.values():
            reader.close()
