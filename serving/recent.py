"""Answers of the last minutes, so that a request that comes twice is answered twice alike.

A shop's producer may send a request again, and a crash may bring a record back that was answered
ahead of its turn. Both look like news to whoever reads the log, and by then the model or the
features have moved on. So what was answered is kept for a while: bounded in time and in bytes, and
read back from `recommendations` when a worker gets partitions (`serving.recent_kafka`).

Pushes are kept by their id alone: it tells that one was sent, and nobody asks for it again.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stream.batching import Record
from stream.clock import Clock
from stream.events import Tenant
from stream.forget import Forgotten
from stream.tenants import inside

ENTRY_BYTES = 400
"""What an answer takes beside its value: three short strings, two tuples, a place among all."""

Key = tuple[str, str]
"""The user and the request; for a push no user and the push's id."""


class Kept(NamedTuple):
    """An answer as it was sent."""

    recommendation_id: str
    value: bytes
    at_ms: int

    @property
    def size(self) -> int:
        """Bytes that this and its key take, about."""
        return ENTRY_BYTES + len(self.value)


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What of an answer on `recommendations` is needed to keep it."""

    recommendation_id: str
    user_id: str
    ts_ms: int
    request_id: str | None = None
    tenant: Tenant = msgspec.UNSET


def key_of(user_id: str, request_id: str | None, recommendation_id: str) -> Key:
    """What an answer is found by."""
    return ("", recommendation_id) if request_id is None else (user_id, request_id)


_decode = msgspec.json.Decoder(_Heard).decode


class RecentAnswers:
    """What was answered within the window; the oldest is forgotten first.

    Parameters
    ----------
    window_s
        How long an answer is kept.
    max_bytes
        What all of them may take: above it the oldest are forgotten before their time.
    clock
        The time of day.

    Examples
    --------
    >>> from stream.clock import ManualClock
    >>> clock = ManualClock(0)
    >>> recent = RecentAnswers(window_s=60, max_bytes=1_000, clock=clock)
    >>> recent.keep(("ann", "r1"), Kept("requests-0-7", b"axe, saw", at_ms=0))
    >>> recent.find(("ann", "r1")).value, recent.find(("zoe", "r1"))
    (b'axe, saw', None)
    >>> clock.advance(61)
    >>> recent.find(("ann", "r1")) is None, len(recent)
    (True, 0)
    """

    def __init__(self, window_s: float, max_bytes: int, clock: Clock) -> None:
        self._window_ms = round(window_s * 1000)
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: dict[Key, Kept] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes that the kept answers take, about."""
        return self._bytes

    def find(self, key: Key) -> Kept | None:
        """The answer that was given, if it is remembered."""
        self._forget()
        return self._kept.get(key)

    def keep(self, key: Key, kept: Kept) -> None:
        """Remember an answer; the first one to a request stays."""
        if key in self._kept or self._clock.now_ms() - kept.at_ms > self._window_ms:
            return
        if not key[0]:
            kept = kept._replace(value=b"")  # Nobody asks for a push again.
        self._kept[key] = kept
        self._bytes += kept.size
        self._forget()

    def keep_record(self, record: Record) -> None:
        """Remember a record of `recommendations`; what can't be read is none of ours."""
        value = record.value or b""
        try:
            heard = _decode(value)
        except (msgspec.MsgspecError, UnicodeError):
            return
        user_id = inside(heard.tenant, heard.user_id)
        key = key_of(user_id, heard.request_id, heard.recommendation_id)
        self.keep(key, Kept(heard.recommendation_id, value, heard.ts_ms))

    def drop(self, forgotten: Forgotten) -> None:
        """Forget all answers to users who are to be forgotten, new ones too: they may know more."""
        gone = [key for key in self._kept if key[0] and forgotten.covers(key[0], 0)]
        for key in gone:
            self._bytes -= self._kept.pop(key).size

    def _forget(self) -> None:
        before_ms = self._clock.now_ms() - self._window_ms
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            if oldest.at_ms >= before_ms and self._bytes <= self._max_bytes:
                return
            del self._kept[key]
            self._bytes -= oldest.size
