"""Who speaks: whatever a model writes, what comes out is let through, or a template's."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.texts.checker import passes
from learner.texts.facts import Facts, facts_of
from learner.texts.hearing import Hearing
from learner.texts.speaker import Speaker
from learner.texts.templates import draft, kind_of, template
from serving.reasons import _DID, Newness, _did, _without_history
from stream.events import ItemVector, Kind, Step
from stream.shop_catalogue import Catalogue

ITEMS = [facts_of(ware.item) for ware in Catalogue(Random(2), 40).wares]


class Says:
    """A model that says what it is told to, and counts how often it is asked."""

    def __init__(self, drafts: Sequence[str]) -> None:
        self.drafts = list(drafts)
        self.asked = 0

    def write(self, facts: Sequence[Facts], drafts: int) -> list[list[str]]:
        self.asked += len(facts)
        return [self.drafts[:drafts] for _ in facts]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.sampled_from([s for facts in ITEMS for s in facts.sentences]),
            st.sampled_from([f"A {facts.title}." for facts in ITEMS]),
        ),
        max_size=4,
    ),
    st.sampled_from(ITEMS),
)
def test_whatever_a_model_says_what_comes_out_is_supported(said: list[str], facts: Facts) -> None:
    speaker = Speaker(Says(said))
    sentence = speaker.sentences([facts])[0]
    assert sentence == template(facts) or passes(sentence, facts)
    described = speaker.describe(facts)
    assert described.startswith(template(facts))


def test_a_model_is_asked_once_for_an_item_and_its_reason() -> None:
    model = Says(["A pot by Betty."])
    speaker = Speaker(model)
    pot = Facts(title="Pot", brand="Betty")
    told = Facts(title="Pot", brand="Betty", reason="popular now")
    assert speaker.sentences([pot, pot, told]) == ["A Pot by Betty."] * 3
    speaker.sentences([told, pot])
    assert model.asked == 2
    assert speaker.spoken == {"model": 5}


def test_the_first_draft_that_is_let_through_speaks() -> None:
    speaker = Speaker(Says(["A gold pot.", "Nothing. A pot.", "A pot by betty. The best."]))
    assert speaker.sentences([Facts(title="Pot", brand="Betty")]) == ["A Pot by Betty."]
    assert speaker.sentences([Facts(title="Lid")]) == ["Lid."]
    assert speaker.spoken == {"model": 1, "template": 1}


def test_nothing_is_said_of_nothing() -> None:
    assert Speaker().sentences([Facts()]) == [""]
    assert Speaker(Says(["A pot."])).sentences([Facts(category=("Tea",))]) == ["In Tea."]


def test_a_description_holds_drafts_that_are_let_through_or_the_fields() -> None:
    pot = Facts(title="Iron Pot", brand="Betty", sentences=("Pours well.", "Keeps warm."))
    assert Speaker(Says(["Pours well. Keeps cold.", "An iron pot."])).describe(pot) == (
        "Iron Pot by Betty. Pours well. An Iron Pot."
    )
    assert Speaker(Says(["Keeps cold."])).describe(pot) == draft(pot)
    assert draft(pot) == "Iron Pot by Betty. Pours well. Keeps warm."


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (Facts(title="Tea Pot", category=("Tea",), reason="new in Tea"), "New in Tea: Tea Pot."),
        (
            Facts(title="Tea Pot", price=3.0, reason="popular now"),
            "Popular now: Tea Pot, for 3.00.",
        ),
        (Facts(title="Betty Pot", brand="Betty"), "Betty Pot."),
        (Facts(brand="Betty"), "Betty."),
        (Facts(reason="popular now"), ""),
    ],
)
def test_a_template_per_reason(facts: Facts, sentence: str) -> None:
    assert template(facts) == sentence


def test_the_reasons_of_serving_are_known_by_their_words() -> None:
    kinds: list[Kind] = list(_DID)
    for kind in kinds:
        step = Step("i", kind, 0)
        assert kind_of(f"{_did(step, 'this')} before") == "before"
        assert kind_of(f"because {_did(step, 'Red Pot')}") == "because"
    item = ItemVector(
        item_id="i", vector=b"", encoder="", text_hash="", first_seen_ms=5, category=("Tea",)
    )
    bare = ItemVector(item_id="i", vector=b"", encoder="", text_hash="", first_seen_ms=5)
    assert kind_of(_without_history(item, Newness(0), "").text) == "new"
    assert kind_of(_without_history(bare, Newness(0), "").text) == "new"
    assert kind_of(_without_history(item, Newness(9), "Tea").text) == "interest"
    assert kind_of(_without_history(item, Newness(9), "").text) == "popular"


def test_one_shopper_however_loud_is_not_quoted() -> None:
    hearing = Hearing("en", agreement=3)
    for _ in range(50):
        hearing.hear("pot", "bot", "Sturdy and reliable! Recalled.")
    assert hearing.heard("pot").said == ()
    for user in ("a", "b", "c"):
        hearing.hear("pot", user, "sturdy, recalled, not reliable")
    assert hearing.heard("pot").said == ("sturdy",)
    assert "recalled" in hearing.heard("pot").heard
    assert hearing.heard("lid").said == ()


def test_who_is_forgotten_says_nothing_more() -> None:
    hearing = Hearing("en", agreement=2)
    for user in ("ada", "zoe"):
        hearing.hear("pot", user, "sturdy, not red")
    hearing.forget(["zoe"])
    assert hearing.heard("pot").said == ()
    assert "zoe" not in repr(vars(hearing))


def test_what_is_heard_stays_bounded() -> None:
    hearing = Hearing("en", agreement=1)
    for number in range(200):
        hearing.hear("pot", f"u{number}", " ".join(f"w{number}x{n}" for n in range(40)) + " sturdy")
    assert hearing.heard("pot").said == ("sturdy",)
    assert len(hearing._say["pot"]) <= 2_000
    assert max(map(len, hearing._say["pot"].values())) <= 32
