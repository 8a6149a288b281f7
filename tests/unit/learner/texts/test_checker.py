"""The checker: what comes out names nothing that the facts don't, and no changed word is missed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.texts.checker import FaultKind, faults, passes
from learner.texts.facts import Facts, facts_of
from learner.texts.lexicon import ENGLISH, LEXICA
from learner.texts.templates import template
from learner.texts.words import UNITS, stem
from stream.shop_catalogue import Catalogue
from tests.bench._spoken import changed, true_sentences

POT = Facts(
    title="Cast Iron Tea Pot 1.2 L, Black",
    brand="Brown Betty",
    category=("Kitchen", "Teapots & Mugs"),
    price=39.0,
    sentences=(
        "With a wooden handle and faux leather strap, not for induction.",
        "Made of cast iron; BPA free, set of 4 cups.",
    ),
    said=("sturdy",),
    reason="because you bought Red wool hat",
)

ITEMS = [facts_of(ware.item) for ware in Catalogue(Random(5), 60).wares]
BRANDS = sorted({facts.brand for facts in ITEMS})


@pytest.mark.parametrize(
    "sentence",
    [
        "A tea pot with wooden handle.",
        "It is black.",
        "A sturdy cast iron tea pot from Brown Betty, in Teapots & Mugs, for 39.00.",
        "A tea pot of 1.2 litres.",
        "A tea pot of cast iron.",
        "A tea pot, BPA free.",
        "A tea pot with faux leather strap and wooden handle.",
        "Because you bought Red wool hat: a cast iron tea pot.",
        "A set of four cups.",
        "A tea pot, not for induction.",
    ],
)
def test_what_the_fields_say_is_let_through(sentence: str) -> None:
    assert faults(sentence, POT) == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("A tea pot of 1.3 L.", "number"),
        ("A tea pot of 1.2 ml.", "number"),
        ("A tea pot of 1.2.", "number"),
        ("A tea pot for 38.00.", "number"),
        ("A set of 39 cups.", "role"),
        ("A set of four tea pots.", "role"),
        ("Five cups.", "number"),
        ("A Bodum tea pot.", "unknown"),
        ("A wooden tea pot.", "role"),
        ("A tea pot with leather strap.", "unknown"),
        ("A tea pot with black handle.", "role"),
        ("A tea pot with cast iron handle.", "role"),
        ("A red tea pot.", "unknown"),
        ("A tea pot for induction.", "denied"),
        ("A tea pot without handle.", "denied"),
        ("A tea pot, not sturdy.", "role"),
        ("A tea pot with sturdy handle.", "role"),
        ("The best tea pot.", "unknown"),
        ("A better tea pot than Bodum.", "unknown"),
        ("The only tea pot.", "unknown"),
        ("A new tea pot.", "unknown"),
        ("A mug by Brown Betty.", "role"),
        ("A tea pot of BPA.", "unknown"),
        ("I love it.", "unknown"),
        ("It is for you.", "form"),
        ("A tea pot, it can't.", "denied"),
        ("It is sturdy.", "form"),
        ("A tea pot In Iron.", "unknown"),
        ("A tea pot <b>now</b>.", "form"),
        ("A tea\u200b pot.", "form"),
        ("A \ue000 pot.", "form"),
        ("A tеa pot.", "unknown"),  # noqa: RUF001 - a Cyrillic letter
        ("A tea pot, not without handle.", "denied"),
        ("A tea pot, $39.00.", "unknown"),
        ("A pot tea.", "place"),
        ("tea pot " * 60, "form"),
        ("", "form"),
    ],
)
def test_what_the_fields_do_not_say_is_refused(sentence: str, kind: FaultKind) -> None:
    assert kind in {fault.kind for fault in faults(sentence, POT)}


def test_a_part_s_material_is_not_the_item_s() -> None:
    facts = Facts(title="Pot", sentences=("A pot with handle of wood.", "A lid of red steel."))
    assert passes("A pot with handle of wood.", facts)
    for lie in ("A pot of wood.", "A red pot.", "A pot with handle of steel.", "It is red."):
        assert not passes(lie, facts), lie


def test_what_compares_is_not_put_before_a_name() -> None:
    facts = Facts(title="Tea Pot", brand="Betty", sentences=("Once, only, she said.", "Red, too."))
    for lie in ("The only Tea Pot.", "It is only.", "Only Betty Tea Pot.", "A red Tea Pot."):
        assert not passes(lie, facts), lie
    best = Facts(title="Best of Tea", category=("Tea",))
    for lie in ("It is the best.", "The best Best of Tea.", "Best."):
        assert not passes(lie, best), lie
    assert passes("Best of Tea.", best)
    assert passes("A black Betty pot.", Facts(title="Tea Pot, Black", brand="Betty"))


def test_opinions_of_too_few_or_of_any_other_word_are_not_quoted() -> None:
    assert passes("A sturdy pot.", Facts(title="Pot", said=("sturdy",)))
    assert not passes("A sturdy pot.", Facts(title="Pot", heard=("sturdy",)))
    assert not passes("A poisonous pot.", Facts(title="Pot", said=("poisonous",)))


def test_a_brand_that_is_a_word_is_told_from_the_word() -> None:
    facts = Facts(title="Pot", brand="Silver")
    assert passes("Pot by Silver.", facts)
    assert not passes("A Silver pot.", facts)
    assert not passes("The pot is silver.", facts)


def test_text_without_spaces_is_covered_part_by_part() -> None:
    facts = Facts(title="不锈钢茶壶 1.2升", brand="布朗", category=("厨房",))
    assert passes("这款不锈钢茶壶。", facts, "zh")
    for lie in ("铸铁茶壶。", "锈钢茶壶。", "最好的茶壶。", "茶壶 1.3升。", "无茶壶。"):
        assert not passes(lie, facts, "zh"), lie


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_other_languages_bind_every_word(language: str) -> None:
    title = {"de": "Teekanne mit Griff aus Holz", "fr": "Théière avec anse de bois"}
    facts = Facts(title=title.get(language, "Tetera con asa de madera"))
    assert passes(facts.title, facts, language)  # type: ignore[arg-type]
    first, last = facts.title.split()[0], facts.title.split()[-1]
    assert not passes(f"{last} {first}", facts, language)  # type: ignore[arg-type]


def test_changed_words_in_true_sentences_are_always_noticed() -> None:
    draws, through, count = Random(3), 0, 0
    for facts in ITEMS:
        for sentence in true_sentences(facts):
            if passes(sentence, facts):
                through += 1
                for lie in changed(sentence, facts, BRANDS, draws):
                    count += 1
                    assert not passes(lie, facts), lie
    assert through > 4 * len(ITEMS)
    assert count > 20 * len(ITEMS)


NEUTRAL = sorted(ENGLISH.neutral | ENGLISH.passing | set(ENGLISH.roles) | ENGLISH.negators)
FACT_WORDS = sorted({w for facts in ITEMS for w in f"{facts.title} {facts.brand}".split()})
OTHERS = ["best", "cheaper", "7", "12 cm", "two", "gold", "oak", "Acme", "free", "new", "vegan"]


@st.composite
def told(draw: st.DrawFn) -> tuple[str, Facts]:
    """Whatever a generator may say about an item: its own words, others' words, anything."""
    facts = draw(st.sampled_from(ITEMS))
    own = f"{facts.title} {facts.brand} {' '.join(facts.sentences)} {facts.price:.2f}".split()
    word = st.one_of(
        st.sampled_from(own),
        st.sampled_from(own),
        st.sampled_from(NEUTRAL),
        st.sampled_from(OTHERS),
        st.sampled_from(FACT_WORDS),
        st.sampled_from([",", ".", ":", "-", "'s"]),
        st.text(max_size=6),
    )
    return " ".join(draw(st.lists(word, min_size=1, max_size=9))), facts


def _words(text: str) -> set[str]:
    found = re.findall(r"\d+(?:\.\d+)*|[^\W\d_]+", unicodedata.normalize("NFKC", text).casefold())
    return {stem(word) for word in found}


@settings(max_examples=150, deadline=None)
@given(told())
def test_what_is_let_through_names_nothing_but_the_facts(case: tuple[str, Facts]) -> None:
    sentence, facts = case
    if not passes(sentence, facts):
        return
    fields = (facts.title, facts.brand, *facts.category, *facts.sentences, facts.reason)
    known = _words(" ".join(fields)) | _words(f"{facts.price:.2f} {facts.price:g}")
    neutral = {part for word in NEUTRAL for part in _words(word)} | {"s"}
    numbers = {word for word, number in ENGLISH.numbers.items() if number in known}
    units = {part for unit in UNITS for part in _words(unit)}
    assert _words(sentence) <= known | neutral | ENGLISH.opinions | numbers | units, sentence


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60), st.sampled_from(sorted(LEXICA)))
def test_any_text_is_refused_or_let_through_but_never_an_error(text: str, language: str) -> None:
    assert isinstance(faults(text, POT, language), list)  # type: ignore[arg-type]
    assert isinstance(faults("A pot.", facts_like(text), language), list)  # type: ignore[arg-type]


def facts_like(text: str) -> Facts:
    return Facts(title=text, brand=text, category=(text,), sentences=(text,), reason=text)


WORD = st.text("abcdefghij", min_size=3, max_size=8).filter(lambda word: word not in NEUTRAL)


@st.composite
def fields(draw: st.DrawFn) -> Facts:
    """Items whose names have any letters and marks, but none that a template would add to."""
    name = st.lists(st.one_of(WORD, WORD.map(str.title)), min_size=1, max_size=4).map(" ".join)
    mark = st.sampled_from(["", "!", " | x", " <b>", " & Co", " \u2013 12 cm", " (2)"])
    reasons: Sequence[str] = ("", "popular now", "new", "you viewed this before", "new in Tea")
    return Facts(
        title=draw(name) + draw(mark),
        brand=draw(st.one_of(st.just(""), name)),
        category=tuple(draw(st.lists(name, max_size=2))),
        price=draw(st.one_of(st.none(), st.floats(0, 99_999).map(lambda p: round(p, 2)))),
        reason=draw(st.sampled_from(reasons)),
        said=tuple(draw(st.lists(st.sampled_from(sorted(ENGLISH.opinions)), max_size=3))),
    )


@settings(max_examples=80, deadline=None)
@given(fields())
def test_a_template_says_what_the_checker_lets_through(facts: Facts) -> None:
    assert faults(template(facts), facts) == []
