"""The error tree. Its branch decides what an agent does with the record or batch in hand.

```
TidemillError
├── BadRecord      the record is wrong      → dead letter, go on
├── Unavailable    a neighbour is away      → wait and retry, nothing is dropped
└── Halt           we are wrong             → stop the process before anything is acknowledged
    ├── SettingsError   a setting is wrong  → stop at start, say which and what to do
    └── TooManyRefused  what we do is wrong → stop, because a dead letter each would hide it
```
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "not_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "bad_timestamp",
    "bad_id",
    "too_large",
    "empty",
    "unknown_tenant",
    "failed",
]
"""Why a record was refused: a closed set, so that it can be a metric's label."""


class TidemillError(Exception):
    """The root of everything that Tidemill raises on purpose."""


class BadRecord(TidemillError):
    """A record that can't be used, however often it is tried.

    Parameters
    ----------
    field
        The field that is wrong, or ``"value"`` where the whole payload is.
    value
        What was found; shown shortened.
    wanted
        What would have been right: the remedy for the producer.
    reason
        The class of the fault, a label of `tidemill_dead_letters_total`.

    Examples
    --------
    >>> print(BadRecord("rating", 9, "a number from 1 to 5", "out_of_range"))
    `rating` must be a number from 1 to 5, got 9
    """

    def __init__(self, field: str, value: object, wanted: str, reason: Reason) -> None:
        self.field = field
        self.value = value
        self.wanted = wanted
        self.reason: Reason = reason
        super().__init__(f"`{field}` must be {wanted}, got {shorten(value)}")


class Unavailable(TidemillError):
    """A broker or store does not answer now; the same call may succeed later."""


class Halt(TidemillError):
    """Going on would lose or damage data: the process stops before it acknowledges anything."""


class SettingsError(Halt):
    """A setting is unknown, out of range, or contradicts another."""


class TooManyRefused(Halt):
    """So many records fail on us that the fault is in our code, or in what it needs."""


TOO_MANY_REFUSED_EXIT = 3
"""The exit code of a process that stopped for it: the next one will meet the same records."""


def shorten(value: object, limit: int = 80) -> str:
    r"""Show a value in one line of at most `limit` characters, control characters escaped.

    >>> shorten("a" * 200, limit=10)
    "'aaaaaaaa…"
    >>> shorten("two\nlines")
    "'two\\nlines'"
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
