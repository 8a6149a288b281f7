"""What is loaded by a thread, when it is first asked for."""

from __future__ import annotations

import threading

import pytest

from serving.loading import Loading

PATIENCE_S = 10.0


def settled(loading: Loading[str]) -> str | None:
    """What comes of it in the end."""
    loading.get()
    assert loading._thread is not None
    loading._thread.join(PATIENCE_S)
    return loading.get()


def test_nobody_waits_and_it_is_loaded_once() -> None:
    loads, may = [], threading.Event()

    def load() -> str:
        may.wait(PATIENCE_S)
        loads.append(1)
        return "there"

    loading = Loading(load, "the encoder")
    assert (loads, loading.get(), loading.get()) == ([], None, None)
    may.set()
    assert (settled(loading), loads) == ("there", [1])


def test_what_cannot_be_loaded_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> str:
        message = "no such model"
        raise OSError(message)

    loading = Loading(load, "the encoder")
    assert [settled(loading) for _ in range(3)] == [None] * 3
    assert caplog.text.count("the encoder can't be loaded") == 1
