"""What shoppers wrote about items: the newest reviews of each, bounded, and gone when forgotten.

Of each item the newest reviews are kept, one of each shopper: who writes again has changed their
mind. When all of them together are too much, the oldest reviews go first, wherever they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from learner.answers.frequencies import Frequencies
from learner.answers.sentences import Span, sentences

REVIEW_CHARS = 2_000
"""What of a review is kept: what is said later is rarely said for the first time."""

COUNTED_ALL, COUNTED_OF = 5_000, 16
"""Words are counted in the first reviews, and then in one of so many: enough to know rare ones."""

_OVERHEAD = 400
"""Bytes that a kept review takes beside its letters."""


class Said(NamedTuple):
    """A review."""

    review_id: str
    user_id: str
    item_id: str
    text: str
    ts_ms: int
    received_ms: int = 0


class Sentence(NamedTuple):
    """A sentence of a review, and where it stands there."""

    review: Said
    span: Span

    @property
    def text(self) -> str:
        """What it says."""
        return self.span.of(self.review.text)


class ReviewBook:
    """The newest reviews of each item, in memory.

    Parameters
    ----------
    per_item
        Reviews kept of an item.
    max_bytes
        Of all reviews together, about.

    Attributes
    ----------
    frequencies
        How rare words are among reviews; words of reviews that are gone still count.

    Examples
    --------
    >>> book = ReviewBook(per_item=2)
    >>> for n, (user, text) in enumerate((("a", "Loud."), ("b", "Quiet."), ("a", "Not so loud."))):
    ...     book.add(Said(f"r{n}", user, "fan", text, n))
    >>> [one.text for one in book.of("fan")]
    ['Not so loud.', 'Quiet.']
    >>> book.forget_covered(lambda user_id, received_ms: user_id == "a")
    1
    >>> [sentence.text for sentence in book.sentences("fan")], len(book)
    (['Quiet.'], 1)
    """

    def __init__(self, per_item: int = 50, max_bytes: int = 256 << 20) -> None:
        self.frequencies = Frequencies()
        self.bytes = 0
        self._heard = 0
        self._per_item = per_item
        self._max_bytes = max_bytes
        self._all: OrderedDict[tuple[str, str], Said] = OrderedDict()
        self._users_of: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        """How many reviews are kept."""
        return len(self._all)

    def add(self, said: Said) -> None:
        """Take in a review; an older one than the shopper's kept one is passed over."""
        key = said.item_id, said.user_id
        known = self._all.get(key)
        if known is not None:
            if known.ts_ms > said.ts_ms:
                return
            self._drop(key)
        text = said.text[:REVIEW_CHARS]
        if not text.strip():
            return
        self._all[key] = said._replace(text=text)
        self.bytes += _size(text)
        self._heard += 1
        if self._heard <= COUNTED_ALL or not self._heard % COUNTED_OF:
            self.frequencies.add(text)
        users = self._users_of.setdefault(said.item_id, {})
        users[said.user_id] = said.ts_ms
        if len(users) > self._per_item:
            self._drop((said.item_id, min(users, key=users.__getitem__)))
        while self.bytes > self._max_bytes and len(self._all) > 1:
            self._drop(next(iter(self._all)))

    def of(self, item_id: str) -> list[Said]:
        """An item's reviews, the newest first."""
        users = self._users_of.get(item_id, {})
        order = sorted(users, key=lambda user_id: (-users[user_id], user_id))
        return [self._all[item_id, user_id] for user_id in order]

    def sentences(self, item_id: str) -> Iterator[Sentence]:
        """Their sentences."""
        for said in self.of(item_id):
            for span in sentences(said.text):
                yield Sentence(said, span)

    def forget_covered(self, covers: Callable[[str, int], bool]) -> int:
        """Drop the reviews that came before their users asked to be forgotten; says how many."""
        gone = [key for key, said in self._all.items() if covers(said.user_id, said.received_ms)]
        for key in gone:
            self._drop(key)
        return len(gone)

    def _drop(self, key: tuple[str, str]) -> None:
        item_id, user_id = key
        self.bytes -= _size(self._all.pop(key).text)
        users = self._users_of[item_id]
        del users[user_id]
        if not users:
            del self._users_of[item_id]


def review_text(title: str, text: str) -> str:
    r"""A review as it is quoted: its title, and what it says.

    >>> review_text("Loud!", "I returned it."), review_text("", "Fine.")
    ('Loud!\nI returned it.', 'Fine.')
    """
    return (
        f"{title}\n{text}" if title.strip() and text.strip() else title if title.strip() else text
    )


def _size(text: str) -> int:
    return len(text.encode()) + _OVERHEAD
