"""Texts of any script as hashed n-grams."""

import numpy as np
import pytest

from learner.reviews.linear import NgramReader
from learner.reviews.ngrams import cleaned, hashed

BITS = 14


@pytest.mark.parametrize(
    "text", ["质量很好，物流很快", "тепло и уютно", "très déçu", "שלום", "👍👍🏽"]
)
def test_every_script_gives_runs_of_characters(text: str) -> None:
    bags = hashed([text], BITS, 5)
    characters = bags.at_M[bags.at_M < 1 << BITS]
    assert len(characters) > len(text)


def test_a_text_is_hashed_alike_alone_and_among_others() -> None:
    texts = ["good tea", "", "茶壶很好", "good good tea pot"]
    many = hashed(texts, BITS, 5)
    for n, text in enumerate(texts):
        alone = hashed([text], BITS, 5)
        part = slice(many.starts[n], many.starts[n + 1])
        assert alone.at_M.tolist() == many.at_M[part].tolist()
        assert alone.weight_M.tolist() == many.weight_M[part].tolist()


def test_half_a_pair_of_surrogates_is_hashed_too() -> None:
    assert len(hashed(["broken \ud83d end"], BITS, 5).at_M)


def test_entities_and_forms_of_letters_are_one_text() -> None:
    assert cleaned("Ｇｏｏｄ &amp; ﬁne", 99) == "Good & fine"


def test_the_beginning_and_the_end_of_a_long_text_are_kept() -> None:
    text = cleaned("first " + "middle " * 500 + "last", 100)
    assert text.startswith("first") and text.endswith("last") and len(text) <= 101


def test_no_texts_are_read_as_nothing() -> None:
    reader = NgramReader(BITS, 0.2, 0.0)
    assert reader.read(hashed([], BITS, 5)).shape == (0, 4)
    assert np.isfinite(reader.read(hashed([""], BITS, 5))).all()


def test_a_guess_teaches_no_rating() -> None:
    reader, bags = NgramReader(BITS, 0.2, 0.0), hashed(["nice pot"], BITS, 5)
    reader.learn(bags, np.array([2]), np.array([np.nan]), np.ones(1))
    assert np.abs(reader.weight_V4[:, :3]).max() > 0
    assert np.abs(reader.weight_V4[:, 3]).max() == 0
