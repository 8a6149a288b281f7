"""`tidemill demo --language`: the shop's texts in another language, in a folder of its own."""

from __future__ import annotations

from itertools import islice
from typing import get_args

import click
import pytest
from click.testing import CliRunner

from infra.commands.stack import demo
from infra.config import RunConfig
from infra.demo.command import DemoOptions, play_of
from infra.demo.script import ShopScript
from infra.settings import Settings
from stream.batching import PlainRecord
from stream.clock import ManualClock, SystemClock
from stream.events import Item
from stream.parse import parse_item
from stream.shop_words import Language

NOW_MS = 1_800_000_000_000


def test_the_command_knows_every_language_of_the_shop() -> None:
    option = next(param for param in demo.params if param.name == "language")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == get_args(Language)


def test_the_help_shows_how_to_ask_for_chinese() -> None:
    said = CliRunner().invoke(demo, ["--help"]).output
    assert "--language [en|zh]" in said
    assert "tidemill demo --language zh" in said


def test_an_unknown_language_is_refused() -> None:
    answer = CliRunner().invoke(demo, ["--language", "tlh"])
    assert answer.exit_code == 2
    assert "'en', 'zh'" in answer.output


@pytest.mark.parametrize(("language", "folder"), [("en", "demo"), ("zh", "demo-zh")])
def test_each_language_has_a_folder_of_its_own(language: Language, folder: str) -> None:
    options = DemoOptions(settings=Settings.load(environ={}), language=language)
    script, settings = play_of(options, 100.0, SystemClock())
    assert isinstance(script, ShopScript)
    assert settings.section(RunConfig).data_dir == f".tidemill/{folder}"
    assert [item.title.isascii() for item in catalogue(script)] == [language == "en"] * 600


def test_what_is_played_is_the_same_in_each_language() -> None:
    english, chinese = (
        ShopScript(7, rate_per_s=100.0, clock=ManualClock(NOW_MS), language=language)
        for language in get_args(Language)
    )
    assert english.title != chinese.title
    assert [item.item_id for item in catalogue(english)] == [
        item.item_id for item in catalogue(chinese)
    ]
    pairs = zip(islice(english.lines(), 1_000), islice(chinese.lines(), 1_000), strict=True)
    for one, other in pairs:
        assert (one.topic, one.key) == (other.topic, other.key)
        assert one.value == other.value or one.topic in ("items", "reviews")


def catalogue(script: ShopScript) -> list[Item]:
    return [parse_item(PlainRecord(line.key, line.value, 0)) for line in script.items()]
