"""Texts as words: however a shopper writes it, it is compared alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.search.words import MAX_LETTERS, MAX_WORDS, fold, split, terms


def compared(text: str) -> list[str]:
    return [word.term for word in split(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("16 GB", "16gb"),
        ('15.6"', "15,6 inches"),
        ("1,000 pcs", "1000 pieces"),
        ("Café CRÈME", "cafe creme"),
        ("ＡＢＣ１２", "abc12"),
        ("2 litres", "2l"),
    ],
)
def test_two_ways_to_write_one_thing_are_one(one: str, other: str) -> None:
    assert compared(one) == compared(other)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("LPE6N", "LP-E6N"),
        ("iphone 7", "iPhone7"),
        ("laptop", "Laptops"),
        ("size", "Sizes"),
        ("茶壶", "红茶壶"),
    ],
)
def test_words_of_a_query_are_among_those_of_the_text(query: str, text: str) -> None:
    found = terms(split(text))
    for word in split(query):
        assert word.term in found or f"~{word.stem}" in found


def test_a_decimal_is_not_two_numbers() -> None:
    assert compared("3.5 mm") != compared("3 5 mm")


@given(st.text(max_size=300))
def test_any_text_has_words_that_an_index_can_hold(text: str) -> None:
    words = split(text)
    assert len(words) <= MAX_WORDS
    for word in words:
        assert word.term
        assert not any(map(str.isspace, word.term))
        assert len(word.term) <= 2 * MAX_LETTERS
    assert split(text) == words


@given(st.text(max_size=100))
def test_case_does_not_matter(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert compared(fold(text)) == compared(text)


@given(st.lists(st.sampled_from(["tea", "pot", "i5-2400", "16 gb", "茶", "usb-c"]), max_size=6))
def test_the_words_of_a_text_are_those_of_its_pieces(pieces: list[str]) -> None:
    assert compared(" ; ".join(pieces)) == [term for one in pieces for term in compared(one)]
