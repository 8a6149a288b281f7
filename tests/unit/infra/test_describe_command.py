"""`tidemill describe` as a person runs it: an item from a file, and what of a text is supported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli import cli, run
from infra.describe import hear, newest
from learner.texts.hearing import Hearing
from stream.batching import PlainRecord

POT = {
    "item_id": "pot-1",
    "title": "Cast iron tea pot",
    "brand": "Betty",
    "category": "Kitchen > Tea",
    "price": 39,
    "description": "Holds 1.2 l. Not for induction.",
}


@pytest.fixture
def items(tmp_path: Path) -> str:
    path = tmp_path / "items.jsonl"
    older = POT | {"title": "Pot"}
    path.write_text("\n".join(json.dumps(row) for row in (older, POT, {"item_id": "bare"})) + "\n")
    return str(path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ("describe", *arguments), catch_exceptions=False)


def test_an_item_s_fields_are_quoted(items: str) -> None:
    said = call("pot-1", "--item-file", items)
    assert said.output == (
        "Cast iron tea pot by Betty, in Tea, for 39.00. Holds 1.2 l. Not for induction.\n"
    )
    line = json.loads(call("pot-1", "--item-file", items, "--json", "--sentences", "1").output)
    assert line["text"] == "Cast iron tea pot by Betty, in Tea, for 39.00."
    assert line["facts"]["category"] == ["Kitchen", "Tea"]
    assert "nothing is known" in call("bare", "--item-file", items).output


def test_what_the_fields_do_not_support_is_named(items: str) -> None:
    good = call("pot-1", "--item-file", items, "--check", "A tea pot of cast iron.")
    assert good.output == "all of it is supported\n"
    bad = call("pot-1", "--item-file", items, "--check", "A tea pot for induction, 1.3 l.")
    assert bad.output.split("\n")[:2] == ["denied   induction", "number   1.3 l"]


def test_an_unknown_item_is_one_line(items: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "nobody", "--item-file", items]) == 1
    assert capsys.readouterr().err.endswith("holds no item 'nobody'\n")


def test_the_newest_record_counts_and_a_deleted_item_is_gone() -> None:
    key = b"pot-1"
    records = [
        PlainRecord(key, json.dumps(POT | {"title": "Pot"}).encode(), 0),
        PlainRecord(key, b"{broken", 1),
        PlainRecord(key, json.dumps(POT).encode(), 2),
    ]
    item = newest(records, "pot-1")
    assert item is not None
    assert item.title == "Cast iron tea pot"
    assert newest([*records, PlainRecord(key, None, 3)], "pot-1") is None


def test_reviews_of_the_item_are_heard_and_broken_ones_are_not() -> None:
    hearing = Hearing("en", agreement=2)
    rows = [("a", "pot-1"), ("b", "pot-1"), ("c", "lid-1")]
    for user, item in rows:
        review = {"user_id": user, "item_id": item, "ts": 1_700_000_000_000, "text": "Sturdy."}
        record = PlainRecord(None, json.dumps(review).encode(), 0, 1_700_000_000_000)
        hear(hearing, record, "pot-1")
    hear(hearing, PlainRecord(None, b"{", 1), "pot-1")
    assert hearing.heard("pot-1").said == ("sturdy",)
    assert hearing.heard("lid-1").said == ()
