"""What `tidemill search` asks for, and how it tells what was found."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from kafka.errors import KafkaTimeoutError

from infra import search as asking
from infra.cli import EXIT_ERROR, cli, run
from infra.demo import reading
from stream.batching import PlainRecord
from stream.connect import KafkaConfig
from stream.events import (
    FacetValue,
    Filters,
    Recommendation,
    RecommendedItem,
    Request,
    Searched,
    json_encode,
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    requests: list[Request] = []

    def answered(kafka: KafkaConfig, request: Request, timeout_s: float) -> Recommendation:
        del kafka, timeout_s
        requests.append(request)
        return Recommendation(
            recommendation_id="r",
            request_id=request.request_id,
            user_id=request.user_id,
            ts_ms=0,
            items=(RecommendedItem(item_id="pot", score=1.0, title="Pot", reason="Popular"),),
            path="model",
            model_version=1,
            search=Searched(
                query="tea pot",
                corrected_from=request.query,
                total=7,
                facets={"brand": (FacetValue(value="Acme", count=7),)},
                weights={"words": 3.0},
                described=({"words": 1.0},),
            ),
        )

    monkeypatch.setattr(asking, "search", answered)
    return requests


def test_words_are_a_query_and_options_are_told(asked: list[Request]) -> None:
    words = ["search", "taepot", "--user", "ada", "--price-max", "40", "--explain", "--facets"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "'tea pot' (for 'taepot'): 7 found" in done.output
    assert "  1. pot  Pot  [Popular]" in done.output
    assert "brand: Acme (7)" in done.output
    assert "what counts: words 3" in done.output
    (request,) = asked
    assert (request.query, request.user_id) == ("taepot", "ada")
    assert request.filters == Filters(price_max=40.0)


def test_a_question_is_asked_with_a_shop_or_without(asked: list[Request]) -> None:
    question = ["ask", "How heavy is it?", "--item", "pot", "--user", "ada"]
    shop = ["--set", 'tenants.names=["acme"]', "--tenant", "acme"]
    for words in (question, [*question, *shop]):
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert "questions are not answered here" in done.output
    assert [(one.tenant or "", one.question) for one in asked] == [
        ("", "How heavy is it?"),
        ("acme", "How heavy is it?"),
    ]
    assert {(one.user_id, one.context_item, one.k) for one in asked} == {("ada", "pot", 5)}


def test_options_may_come_first_and_a_commands_name_can_be_looked_for(
    asked: list[Request],
) -> None:
    for words in (["search", "-k", "3", "tea"], ["search", "find", "misses"]):
        assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    assert [(one.query, one.k) for one in asked] == [("tea", 3), ("misses", 10)]


def test_a_shop_that_is_none_is_refused(asked: list[Request]) -> None:
    done = CliRunner().invoke(cli, ["search", "tea", "--tenant", "nobody"])
    assert done.exit_code != 0
    assert not asked


def test_misses_are_one_shops(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(query: str, tenant: str = "") -> tuple[None, PlainRecord]:
        made = Recommendation(
            recommendation_id="r", request_id="q", user_id="u", ts_ms=0, items=(), path="model",
            model_version=1, search=Searched(query=query), tenant=tenant,
        )  # fmt: skip
        return None, PlainRecord(None, json_encode(made), 0)

    told = [answer("sofa"), answer("tent", tenant="acme")]
    shop = ["search", "misses", "--set", 'tenants.names=["acme"]', "--tenant"]
    for tenant, query in (("acme", "tent"), ("", "sofa")):
        monkeypatch.setattr(asking, "read_topic", lambda *_: iter(told))
        done = CliRunner().invoke(cli, [*shop, tenant], catch_exceptions=False)
        assert done.output.split() == ["1", query]


def test_a_broker_that_is_away_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(**_: object) -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(reading, "KafkaConsumer", away)
    for words in (["search", "tea"], ["search", "misses"], ["ask", "How heavy?"]):
        assert run(words) == EXIT_ERROR
        said = capsys.readouterr().err
        assert said.startswith("tidemill: no Kafka broker answers at localhost:9092")
