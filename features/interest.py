"""Items as a user's interests see them, and how fast interests are learnt and forgotten.

An interest is two vectors (`features.pulls`): what a user looks for now, and what they usually look
for. Both live in a 64-wide space, into which an item's frozen text vector is projected. The
short-term vector forgets within a few events, the long-term one within many; how far they point
apart is the user's divergence, in which `features.shift` looks for a change.

Shapes: `W` the width of the text vectors, `D` = 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
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
    shift_evidence_reviews: Annotated[
        float, Meta(gt=0, description="evidence in what reviews say that makes a shift, nats")
    ] = 6.0
    shift_window_events: Annotated[
        int, Meta(ge=3, le=40, description="how many events ago a shift may have begun")
    ] = 10
    shift_agree_events: Annotated[
        int, Meta(ge=1, le=20, description="events for which a rise of the divergence counts")
    ] = 4
    shift_cooldown_events: Annotated[
        int, Meta(ge=0, description="events after a shift in which no other is reported")
    ] = 10

    describe: Annotated[
        bool,
        Meta(
            description="describe users in two or three sentences, at some of their first events "
            "and when their interest shifts: on `profiles`, and as a feature"
        ),
    ] = True

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

    The department is the category's top level. `kind` and `room` are numbers for them: equal where
    two items are of one category or department, and nobody else's where an item has no category.
    """

    vector_D: NDArray[np.float32] | None = None
    category: str = ""
    brand: str = ""
    price: float | None = None
    department: str = ""
    kind: int = 0
    room: int = 0


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
        self._codes: dict[str, int] = {}

    def facts(self, item_id: str) -> ItemFacts:
        """What is known of an item, `NO_FACTS` if nothing."""
        self._follow()
        return self._by_id.get(item_id) or self._look(item_id)

    def facts_of(self, item_ids: Iterable[str]) -> list[ItemFacts]:
        """What is known of many items, in their order."""
        self._follow()
        find, look = self._by_id.get, self._look
        return [find(item_id) or look(item_id) for item_id in item_ids]

    def _follow(self) -> None:
        if self._version != self._catalog.version:
            self._by_id.clear()
            self._version = self._catalog.version

    def _look(self, item_id: str) -> ItemFacts:
        row = self._catalog.row(item_id)
        if row == UNKNOWN:
            self._by_id[item_id] = NO_FACTS
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
        department = intern(category.partition(" > ")[0])
        return ItemFacts(
            vector_D / norm if norm > 0 else None,
            category,
            cut(item.brand, MAX_NAME_CHARS),
            item.price,
            department,
            kind=self._code(category) if category else -1 - row,
            room=self._code(department) if category else -1 - row,
        )

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, 1 + len(self._codes))


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
