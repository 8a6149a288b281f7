"""A user's interests as two vectors: what they look for now, and what they usually look for.

Both live in a 64-wide space, into which an item's frozen text vector is projected. The short-term
vector forgets within a few events, the long-term one within many; how far they point apart is the
user's divergence, in which `features.shift` looks for a change.

Shapes: `W` the width of the text vectors, `D` = 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import sqrt
from sys import intern
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from features.catalog import UNKNOWN, Catalog
from features.store import VECTOR_WIDTH
from stream.cut import cut
from stream.events import Event, ItemVector

_SEED = 20_240_229
_GRID = 2.0**-14
"""Entries of the projection are rounded to this: above the differences between BLAS builds, so that
every machine has the same matrix, and far below what float16 states can tell apart."""

MAX_NAME_CHARS = 96
"""Categories and brands are cut to this, so that no item makes its users' states large."""


class InterestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast interests are learnt and forgotten, and when a change counts as a shift."""

    short_half_life_events: Annotated[
        float,
        Meta(gt=0, description="events after which the short-term interest is half forgotten"),
    ] = 2.0
    long_half_life_events: Annotated[
        float, Meta(gt=0, description="events after which the long-term interest is half forgotten")
    ] = 30.0
    weight_view: Annotated[float, Meta(ge=0, le=1, description="pull of a view")] = 0.5
    weight_click: Annotated[float, Meta(ge=0, le=1, description="pull of a click")] = 0.7
    weight_cart: Annotated[float, Meta(ge=0, le=1, description="pull of a cart")] = 0.9
    weight_purchase: Annotated[float, Meta(ge=0, le=1, description="pull of a purchase")] = 1.0
    weight_review: Annotated[
        float, Meta(ge=0, le=1, description="pull of a five-star review; one star pulls not at all")
    ] = 1.0
    shift_min_events: Annotated[
        int, Meta(ge=2, description="events of a user before a shift can be found")
    ] = 12
    shift_delta: Annotated[
        float, Meta(ge=0, description="rise of the divergence that is ordinary (Page-Hinkley)")
    ] = 0.05
    shift_threshold: Annotated[
        float, Meta(gt=0, description="summed rise that makes a shift (Page-Hinkley)")
    ] = 0.8
    shift_evidence: Annotated[
        float,
        Meta(gt=0, description="evidence in the newest events that makes a shift by itself, nats"),
    ] = 11.0
    shift_evidence_agreed: Annotated[
        float, Meta(gt=0, description="evidence that is enough when the divergence has risen, too")
    ] = 8.0
    shift_window_events: Annotated[
        int, Meta(ge=3, le=40, description="how many events ago a shift may have begun")
    ] = 10
    shift_agree_events: Annotated[
        int, Meta(ge=1, le=20, description="events for which a rise of the divergence counts")
    ] = 4
    shift_cooldown_events: Annotated[
        int, Meta(ge=0, description="events after a shift in which no other is reported")
    ] = 10

    def weight(self, event: Event) -> float:
        """How strongly an event pulls the interests towards its item, from 0 to 1.

        A review pulls by its stars: one star not at all, five stars wholly, none like three.
        """
        match event.kind:
            case "view":
                return self.weight_view
            case "click":
                return self.weight_click
            case "cart":
                return self.weight_cart
            case "purchase":
                return self.weight_purchase
            case "review":
                stars = 3.0 if event.rating is None else event.rating
                return self.weight_review * (stars - 1.0) / 4.0


@cache
def projection(width: int) -> NDArray[np.float32]:
    """The fixed random projection of text vectors into the interest space, shape (W, D).

    Its columns are orthonormal (its rows, where `width` is below 64), so that cosines survive as
    well as 64 dimensions allow [1]_. It is the same in every process and on every machine: numpy
    has frozen the seeded stream of `RandomState`, and Gram-Schmidt's result is rounded.

    .. [1] Johnson & Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space, 1984.

    Examples
    --------
    >>> matrix = projection(384)
    >>> matrix.shape, bool(np.allclose(matrix.T @ matrix, np.eye(64), atol=2e-3))
    ((384, 64), True)
    """
    rows, columns = max(width, VECTOR_WIDTH), min(width, VECTOR_WIDTH)
    basis = np.random.RandomState(_SEED).standard_normal((rows, columns))
    for column in range(columns):
        for _ in range(2):  # the second pass removes what rounding left of the first
            before = basis[:, :column]
            basis[:, column] -= before @ (before.T @ basis[:, column])
        basis[:, column] /= np.linalg.norm(basis[:, column])
    rounded = (np.round(basis / _GRID) * _GRID).astype(np.float32)
    return rounded if width >= VECTOR_WIDTH else np.ascontiguousarray(rounded.T)


class ItemFacts(NamedTuple):
    """What a profile needs to know of an item; the vector is `None` where there is no text.

    The department is the category's top level.
    """

    vector_D: NDArray[np.float32] | None = None
    category: str = ""
    brand: str = ""
    price: float | None = None
    department: str = ""


NO_FACTS = ItemFacts()
"""What is known of an item that the catalogue doesn't hold (yet)."""


class ItemSpace:
    """The catalogue's items in the interest space, projected when they are first needed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._projection_WD = projection(catalog.width)
        self._known: dict[int, tuple[object, ItemFacts]] = {}
        self._by_id: dict[str, ItemFacts] = {}
        self._version = catalog.version

    def facts(self, item_id: str) -> ItemFacts:
        """What is known of an item, `NO_FACTS` if nothing."""
        return self.facts_of((item_id,))[0]

    def facts_of(self, item_ids: Iterable[str]) -> list[ItemFacts]:
        """What is known of many items, in their order."""
        if self._version != self._catalog.version:
            self._by_id.clear()
            self._version = self._catalog.version
        find, look = self._by_id.get, self._look
        return [find(item_id) or look(item_id) for item_id in item_ids]

    def _look(self, item_id: str) -> ItemFacts:
        row = self._catalog.row(item_id)
        if row == UNKNOWN:
            return NO_FACTS
        item = self._catalog.item(row)
        known = self._known.get(row)
        if known is None or known[0] is not item:
            known = self._known[row] = (item, self._facts(row, item))
        self._by_id[item_id] = known[1]
        return known[1]

    def _facts(self, row: int, item: ItemVector) -> ItemFacts:
        vector_D = self._catalog.vectors[row] @ self._projection_WD
        norm = float(np.linalg.norm(vector_D))
        category = intern(category_name(item.category))
        return ItemFacts(
            vector_D / norm if norm > 0 else None,
            category,
            cut(item.brand, MAX_NAME_CHARS),
            item.price,
            intern(category.partition(" > ")[0]),
        )


SAME_DEPARTMENT = 0.5
"""Likeness of two items whose categories share no more than the top level: accessories lead there,
and are a weak sign of another interest."""

UNLIKE, ALIKE = 0.25, 0.5
"""Cosines of items that have nothing in common, and of items of one kind: what sentence encoders
give between and within categories. They speak where a shop has no categories."""


def likeness(facts: Sequence[ItemFacts]) -> list[float]:
    """How much each item is like the last of them, from 0 to 1: by category, else by text.

    >>> tea, mug, bike = (
    ...     ItemFacts(category=name, department=name.partition(" > ")[0])
    ...     for name in ("Home > Tea", "Home > Mugs", "Bikes")
    ... )
    >>> likeness([tea, mug, bike, tea])
    [1.0, 0.5, 0.0, 1.0]
    """
    newest = facts[-1]
    category, department = newest.category, newest.department
    if category and all(item.category for item in facts):
        return [
            1.0
            if item.category == category
            else (SAME_DEPARTMENT if item.department == department else 0.0)
            for item in facts
        ]
    return [_alike(item, newest) for item in facts]


def _alike(item: ItemFacts, newest: ItemFacts) -> float:
    if item is newest or (item.category and item.category == newest.category):
        return 1.0
    if item.category and newest.category:
        return SAME_DEPARTMENT if item.department == newest.department else 0.0
    if item.vector_D is not None and newest.vector_D is not None:
        cosine = float(item.vector_D @ newest.vector_D)
        return min(1.0, max(0.0, (cosine - UNLIKE) / (ALIKE - UNLIKE)))
    return 0.0


def category_name(path: tuple[str, ...]) -> str:
    """One name for a category path, as profiles and shifts carry it.

    >>> category_name(("Audio", "Headphones"))
    'Audio > Headphones'
    """
    return cut(" > ".join(path), MAX_NAME_CHARS)


class Interests(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The two interest vectors of a user, as little-endian float16; empty before the first item.

    They are rounded to float16 after every event, not when they are saved, so that it makes no
    difference to the state how the events were cut into micro-batches.
    """

    short: bytes = b""
    long: bytes = b""
    pulls: float = 0.0

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The short-term and the long-term vector, each of shape (D,)."""
        if not self.short:
            return _NOTHING, _NOTHING
        short_D, long_D = _unpack(self.short, self.long)
        return short_D, long_D


def pull(
    interests: Interests,
    vector_D: NDArray[np.float32],
    weight: float,
    config: InterestConfig,
    later_events: int = 0,
) -> Interests:
    """Move both interests towards an item.

    Parameters
    ----------
    weight
        From 0, no pull, to 1.
    later_events
        How many known events are later than this one: a late event pulls as little as it would
        still be remembered if it had come in time.
    """
    if weight <= 0:
        return interests
    if not interests.short:
        packed = _pack(vector_D)
        return Interests(packed, packed, weight)
    pulls = interests.pulls + weight
    # While there are few events, the mean of them all: else the first item would stay in the
    # long-term interest for the length of its half-life.
    keep_short = 0.5 ** (1 / config.short_half_life_events)
    keep_long = 0.5 ** (1 / config.long_half_life_events)
    step_short = weight * max(1 - keep_short, 1 / (1 + pulls)) * keep_short**later_events
    step_long = weight * max(1 - keep_long, 1 / (1 + pulls)) * keep_long**later_events
    both_2D = _unpack(interests.short, interests.long)
    way_2D = vector_D - both_2D
    way_2D *= np.array(((step_short,), (step_long,)), np.float32)
    way_2D += both_2D
    packed_2D = way_2D.astype("<f2")
    packed = packed_2D.tobytes()
    short, long = packed[:_PACKED_BYTES], packed[_PACKED_BYTES:]
    _keep(short, long, packed_2D.astype(np.float32))
    return Interests(short, long, pulls)


def divergence(interests: Interests) -> float:
    """How far short-term and long-term interest point apart: 1 - cosine, 0 where one is missing.

    >>> east, north = np.eye(64, dtype=np.float32)[:2]
    >>> divergence(Interests(_pack(east), _pack(north), 1.0))
    1.0
    """
    if not interests.short:
        return 0.0
    both_2D = _unpack(interests.short, interests.long)
    (of_short, across), (_, of_long) = (both_2D @ both_2D.T).tolist()
    norms = sqrt(of_short * of_long)
    return 1.0 - across / norms if norms > 0 else 0.0


_PACKED_BYTES = 2 * VECTOR_WIDTH
_NOTHING = np.zeros(VECTOR_WIDTH, np.float32)
_NOTHING.setflags(write=False)


def _pack(vector_D: NDArray[np.float32]) -> bytes:
    return vector_D.astype("<f2").tobytes()


_unpacked: dict[tuple[bytes, bytes], NDArray[np.float32]] = {}
"""The newest vectors, unpacked: of most events the one before is the same user's."""

_UNPACKED_MAX = 64


def _unpack(short: bytes, long: bytes) -> NDArray[np.float32]:
    """Both vectors, shape (2, D); not to be written to."""
    known = _unpacked.get((short, long))
    if known is not None:
        return known
    packed_2D = np.frombuffer(short + long, "<f2").reshape(2, VECTOR_WIDTH)
    return _keep(short, long, packed_2D.astype(np.float32))


def _keep(short: bytes, long: bytes, both_2D: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(_unpacked) >= _UNPACKED_MAX:
        _unpacked.clear()
    both_2D.setflags(write=False)
    _unpacked[short, long] = both_2D
    return both_2D
