"""Sentences stand where they say they stand, whatever people write."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.answers.sentences import sentences

_WORD = re.compile("[A-Za-z0-9]{2}")

_TEXTS = st.one_of(
    st.text(max_size=600),
    st.text(alphabet="ab .!?\n。！，,A1('\"", max_size=900),
)


@given(_TEXTS)
@settings(max_examples=200, deadline=None)
def test_spans_follow_each_other_and_leave_out_only_what_says_nothing(text: str) -> None:
    at = 0
    for span in sentences(text):
        assert at <= span.start < span.end <= len(text)
        assert _WORD.search(text[at : span.start]) is None
        assert span.of(text) == span.of(text).strip()
        assert len(span.of(text)) <= 400
        at = span.end
    assert _WORD.search(text[at:]) is None


@pytest.mark.parametrize("line", ["." * 200_000 + "x", "!?" * 100_000 + "x", "a. " * 66_000])
def test_a_text_of_marks_takes_no_longer_than_others(line: str) -> None:
    started_s = time.process_time()
    assert all(len(span.of(line)) <= 400 for span in sentences(line))
    assert time.process_time() - started_s < 5.0
