"""What a shopper may ask, and what they may rely on in the answer."""

from __future__ import annotations

import pytest

from serving.answers.answering import Answering
from serving.answers.knowledge import Knowledge
from serving.answers.reading import Reader
from serving.answers.replies import Question
from serving.answers.review_book import Said
from stream.asked import Dialogue
from tests.unit.serving.answers.shop import ask, item, knowledge, named


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge()


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How heavy is it?", "2.5 kg"),
        ("What's the weight of the Breeze 300 Desk Fan?", "2.5 kg"),
        ("它有多重？", "2.5 kg"),
        ("What colour is this fan?", "white"),
        ("什么颜色的？", "white"),
        ("Does it have a timer?", "yes"),
        ("Does it come with a remote control?", "no"),
        ("And what is the cable length, please?", "1.8"),
        ("How much is it?", "39.9"),
        ("多少钱？", "39.9"),
        ("Who makes it?", "Acme"),
        ("Is it in stock?", "yes"),
    ],
)
def test_a_field_answers(known: Knowledge, question: str, value: str) -> None:
    answer = ask(known, question)
    assert (answer.route, answer.value) == ("attribute", value)
    [citation] = answer.citations
    assert (citation.source, citation.id) == ("item", "fan")


@pytest.mark.parametrize(
    "question",
    ["What is the package weight?", "Is there a weight limit?", "How wide is it?", "材质是什么？"],
)
def test_what_no_source_says_is_not_known(known: Knowledge, question: str) -> None:
    answer = ask(known, question)
    assert (answer.route, answer.citations, answer.value) == ("unknown", (), "")
    assert "know" in answer.text or "不知道" in answer.text


def test_an_opinion_counts_shoppers_for_and_against(known: Knowledge) -> None:
    answer = ask(known, "Is it loud?")
    assert answer.route == "opinion"
    assert answer.votes is not None
    assert (answer.votes.say, answer.votes.deny) == (1, 2)
    assert [one.quote for one in answer.citations] == ["It is not loud at all.", "Way too noisy!"]
    assert ask(known, "Is it quiet?").votes == type(answer.votes)(say=2, deny=1)


def test_an_opinion_of_a_part_hears_only_of_that_part(known: Knowledge) -> None:
    answer = ask(known, "Is the stand sturdy?")
    assert answer.votes is not None
    assert (answer.votes.say, answer.votes.deny) == (0, 1)
    assert ask(known, "Is the lid sturdy?").route == "unknown"


def test_a_shopper_who_says_it_ten_times_counts_once() -> None:
    known = knowledge(
        [("ann", "Loud. " * 10, 1.0), ("bob", "Quiet.", 5.0), ("cem", "Silent.", 5.0)]
    )
    votes = ask(known, "Is it loud?").votes
    assert votes is not None
    assert (votes.say, votes.deny) == (1, 2)


def test_a_chinese_opinion() -> None:
    known = knowledge([("ann", "声音很大，有点吵。", 2.0), ("bob", "一点也不吵，很安静。", 5.0)])
    answer = ask(known, "这个风扇吵吗？")
    assert answer.votes is not None
    assert (answer.votes.say, answer.votes.deny) == (1, 1)
    assert "顾客" in answer.text


def test_a_review_answers_with_its_sentence(known: Knowledge) -> None:
    answer = ask(known, "Who uses the fan in the nursery every night?")
    assert answer.route == "review"
    assert answer.citations[0].quote == "I use it in the nursery every night."


def test_a_policy_is_quoted_from_its_document(known: Knowledge) -> None:
    for item_id in ("fan", None):
        answer = ask(known, "Within how many days can I send an item back for a refund?", item_id)
        assert answer.route == "policy"
        assert (answer.citations[0].source, answer.citations[0].id) == ("document", "returns")
    assert "运费为10元" in ask(known, "运费多少？", None).text


def test_a_comparison_is_a_table_of_what_the_records_say(known: Knowledge) -> None:
    answer = ask(known, "Compare it with the Storm Tower")
    assert answer.route == "compare"
    assert answer.table[0] == ("", "Breeze 300 Desk Fan", "Storm Tower Fan")
    assert ("weight", "2.5 kg", "4 kg") in answer.table
    assert ("timer", "yes", "") in answer.table
    assert ask(known, "Compare it with the thing I saw", None).route == "unknown"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Where is my order?", "order"),
        ("I still haven't received my package", "order"),
        ("我的订单到哪了", "order"),
        ("The fan arrived broken", "complaint"),
        ("我要投诉", "complaint"),
        ("Let me talk to a human", "person"),
    ],
)
def test_orders_and_complaints_go_to_a_person(known: Knowledge, question: str, reason: str) -> None:
    reply = Answering(known, Reader()).reply(Question(question, "zoe", 7, "q-7", "r-7", "fan"))
    assert reply.hand_over is not None
    assert (reply.hand_over.reason, reply.hand_over.user_id) == (reason, "zoe")
    assert reply.answer.hand_over_id == reply.hand_over.hand_over_id == "q-7"


def test_wishes_are_kept_over_the_turns_of_a_conversation(known: Knowledge) -> None:
    answering = Answering(known, Reader(), named)
    dialogue: Dialogue | None = Dialogue(conversation_id="c", ts_ms=0)
    for text in ("Find me a quiet fan under 100 for my office", "by Acme", "cheaper"):
        reply = answering.reply(Question(text, "zoe", 1, "q", None, None, dialogue))
        dialogue = reply.dialogue
    assert reply.search is not None
    filters = reply.search.filters
    assert (filters.category, filters.brand, filters.price_max) == ("Fans", "Acme", 80.0)
    assert reply.search.query == "quiet office"
    assert reply.answer.wishes is not None
    assert reply.answer.wishes.use == "my office"


def test_a_brand_that_is_not_wanted_is_no_filter(known: Knowledge) -> None:
    question = Question("Show me fans, but not by Bolt", "zoe", 1, "q")
    search = Answering(known, Reader()).reply(question).search
    assert search is not None
    assert (search.filters.brand, search.not_brands) == (None, ("Bolt",))


def test_it_means_the_item_that_the_conversation_is_about(known: Knowledge) -> None:
    answering = Answering(known, Reader())
    dialogue = Dialogue(conversation_id="c", ts_ms=0)
    first = answering.reply(Question("How heavy is it?", "zoe", 1, "q", None, "fan", dialogue))
    second = answering.reply(Question("什么颜色？", "zoe", 2, "q", None, None, first.dialogue))
    assert second.answer.value == "white"


def test_without_an_item_nobody_knows_what_is_meant(known: Knowledge) -> None:
    assert ask(known, "How heavy is it?", None).route == "unknown"


def test_a_forgotten_shopper_is_neither_counted_nor_quoted() -> None:
    known = knowledge()
    assert known.reviews.forget_covered(lambda user_id, _: user_id == "cem") == 1
    answer = ask(known, "Is it loud?")
    assert answer.votes is not None
    assert (answer.votes.say, answer.votes.deny) == (0, 2)
    assert "noisy" not in answer.text


def test_a_changed_item_is_answered_for_as_it_is_now() -> None:
    known = knowledge()
    assert ask(known, "How heavy is it?").value == "2.5 kg"
    known.index.upsert([item("fan", "Breeze 300 Desk Fan", attributes={"width": "30 cm"})])
    assert known.follow(0.0) == 0
    assert ask(known, "How heavy is it?").route == "unknown"
    assert ask(known, "How wide is it?").value == "30 cm"


def test_reviews_are_bounded() -> None:
    known = knowledge([])
    for n in range(200):
        known.reviews.add(Said(f"r{n}", f"u{n}", "fan", "Quiet.", n))
    assert len(known.reviews) == 50
    assert known.reviews.of("fan")[0].review_id == "r199"


def test_a_title_that_is_found_again_answers_nothing() -> None:
    known = knowledge()
    title = "Breeze 300 Desk Fan"
    known.index.upsert([item("fan", title, description=f"{title}, white, by Acme.")])
    assert ask(known, f"What is the weight of the {title}?").route == "unknown"
