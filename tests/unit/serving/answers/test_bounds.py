"""What a desk keeps has an end, and what it names is for sale."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from features.catalog import Catalog
from learner.answers.frequencies import Frequencies
from learner.answers.likeness import Tokens
from learner.search.fusion import SearchHead
from serving.answers.config import AnswersConfig
from serving.answers.desk import Desk
from serving.answers.documents import passages
from serving.answers.reading import KEPT, Reader
from serving.answers.wishes import MOST_BARRED, Offered, Vocabulary, heard
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from serving.search.config import SearchConfig
from serving.search.dense import QueryVectors
from serving.search.engine import Engine
from stream.asked import Wishes
from stream.clock import ManualClock
from stream.events import ItemVector
from tests.unit.serving.search.shop import STOCK, Angles, item
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainRanker, ask


class _Silent:
    """An encoder that finds nothing to encode."""

    def tokens(self, texts: Sequence[str], most: int) -> list[Tokens]:
        return [Tokens(np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float16)) for _ in texts]


def test_questions_of_which_nothing_is_encoded_are_forgotten_as_others_are() -> None:
    reader = Reader(_Silent)
    parts = list(passages("document", "d", "text", "One thing."))
    for number in range(KEPT + 50):
        reader.read(f"question {number}", parts, Frequencies())
    assert len(reader._tokens) <= KEPT


def test_brands_that_are_not_wanted_have_an_end() -> None:
    brands = [f"Brand{number}" for number in range(MOST_BARRED + 4)]
    offered, wishes = Offered(Vocabulary(()), Vocabulary(brands)), Wishes()
    for brand in brands:
        wishes = heard(f"not {brand}", wishes, offered)
    assert wishes.not_brands == tuple(brands[-MOST_BARRED:])


def desk_with_search(stock: Sequence[ItemVector] = STOCK) -> Desk:
    """A desk that finds items by words and by meaning."""
    index = ItemIndex(Catalog(2, texts=True))
    index.upsert(list(stock))
    engine = Engine(index.catalog, QueryVectors(Angles), SearchHead(), SearchConfig())
    engine.follow()
    made = Recommender(index, PlainRanker(index.catalog), PLAIN, ManualClock(NOW_MS))
    desk = Desk(AnswersConfig())
    desk.open_shop("", index, SearchAnswers(engine, made, SearchConfig()))
    return desk


def test_an_ad_is_compared_with_nothing() -> None:
    stock = [item("ad", "Kettle", kind="ad"), item("lamp", "Lamp")]
    assert desk_with_search(stock)._shops[""]._named("kettle") is None


def test_what_a_question_finds_by_words_is_of_the_surface_of_searches() -> None:
    asked = msgspec.structs.replace(ask("zoe"), question="Find me a quiet kettle")
    plan = desk_with_search().plan(asked, NOW_MS)
    assert plan.ask is not None
    assert plan.ask.surface == "search"
