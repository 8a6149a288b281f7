"""What search has learnt, from shop to file and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.catalog import Catalog
from infra.search import counted
from serving.index import ItemIndex
from serving.recommend import Recommender
from serving.search.answers import SearchAnswers
from serving.search.config import SearchConfig
from serving.search.parts import SearchParts
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from tests.unit.serving.shop import NOW_MS, PLAIN, PlainRanker, ask


def searches_of(folder: Path) -> tuple[SearchParts, dict[str, SearchAnswers]]:
    """The searches of the shop without a name and of one that is called `shop`."""
    parts = SearchParts(SearchConfig(), lambda: None, folder, KafkaConfig())
    index = ItemIndex(Catalog(2, texts=True))
    made = Recommender(index, PlainRanker(index.catalog), PLAIN, ManualClock(NOW_MS))
    of = {name: parts.of_shop(name, made) for name in ("", "shop")}
    return parts, {name: one for name, one in of.items() if one is not None}


def test_each_shop_learns_for_itself_whatever_it_is_called(tmp_path: Path) -> None:
    parts, searches = searches_of(tmp_path)
    clicks = parts.clicks(searches)
    assert clicks is not None
    searches[""].engine.head.state.lists = 7
    searches["shop"].engine.head.state.lists = 9
    clicks.keep()
    _, again = searches_of(tmp_path)
    assert {name: one.engine.head.state.lists for name, one in again.items()} == {"": 7, "shop": 9}


def test_a_disk_that_takes_nothing_stops_no_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "search").write_text("a file where a folder should be")
    parts, searches = searches_of(tmp_path / "search")
    clicks = parts.clicks(searches)
    assert clicks is not None
    searches[""].engine.head.state.lists = 7
    clicks.keep()
    assert "can't be kept" in caplog.text


def test_each_shop_has_its_turn_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, searches = searches_of(tmp_path)
    clicks = parts.clicks(searches)
    assert clicks is not None
    for one in searches.values():
        one.engine.head.state.lists = 7
    monkeypatch.setattr(clicks._reader, "poll", lambda *_: 0)
    monkeypatch.setattr("serving.search.parts.LOOK_S", 0.0)
    monkeypatch.setattr("serving.search.parts.KEEP_S", 0.0)
    kept = []
    for _ in range(2):
        clicks.follow()
        kept.append(len(list(tmp_path.rglob("*.json"))))
    assert kept == [1, 2]


def test_a_beginning_that_nothing_completes_is_no_search_in_vain(tmp_path: Path) -> None:
    _, searches = searches_of(tmp_path)
    made = [
        searches[""].answer(ask("zoe", query=query, suggest=suggest), None)
        for query, suggest in (("zz", True), ("sofa", False))
    ]
    assert [one.query for one in counted(made)] == ["sofa"]
