"""Examples that came before their items: they wait, and are counted once the item is known.

A shop's `items` record may come after the first events of the item, and its vector takes a moment
more. An event can only be ranked and learnt once its item has a row; what waits here is counted
then (popularity, pairs, returns), and taught to nothing: the ranking was a miss already.

What waits is bounded: where too many wait, the oldest are given up, since an item that has not come
after thousands of such events may never come. A checkpoint keeps them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from stream.events import Example

WAITING = 4_096
"""Examples that wait at most: some 3 kB each. Fewer lose events when a large catalogue comes
late; more cost memory where a shop never says what it sells."""


class Late:
    """The examples whose items were unknown when they were to be ranked.

    Parameters
    ----------
    most
        Examples that wait at most.
    """

    def __init__(self, most: int = WAITING) -> None:
        self._waiting: deque[Example] = deque(maxlen=most)
        self._looked_at = -1

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, examples: Iterable[Example]) -> None:
        """Let examples wait, in the place of the oldest where there is no room."""
        self._waiting.extend(examples)

    def take_known(self, catalog: Catalog) -> list[Example]:
        """Take out the examples whose items are known by now, in the order they came in."""
        if not self._waiting or catalog.version == self._looked_at:
            return []
        self._looked_at = catalog.version
        row_N = catalog.rows(example.item_id for example in self._waiting)
        found = [e for e, row in zip(self._waiting, row_N, strict=True) if row >= 0]
        if found:
            left = [e for e, row in zip(self._waiting, row_N, strict=True) if row < 0]
            self._waiting.clear()
            self._waiting.extend(left)
        return found

    def forget(self, user_ids: Collection[str]) -> None:
        """Give up those of some users."""
        left = [example for example in self._waiting if example.user_id not in user_ids]
        self._waiting.clear()
        self._waiting.extend(left)

    def clear(self) -> None:
        """Give all of them up."""
        self._waiting.clear()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        kept = msgspec.msgpack.encode(list(self._waiting))
        return {"examples": np.frombuffer(kept, np.uint8)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        kept = np.asarray(state["examples"]).tobytes()
        self._waiting.clear()
        self._waiting.extend(msgspec.msgpack.decode(kept, type=list[Example]))
        self._looked_at = -1
