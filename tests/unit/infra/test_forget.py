"""Whom forgetting waits for, without a broker."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from kafka import TopicPartition

from infra import forget
from infra.forget import Forgetting, Options
from stream.connect import KafkaConfig
from stream.errors import Unavailable

ANSWERS = TopicPartition("shop.recommendations", 0)
OUTCOMES = TopicPartition("shop.outcomes", 0)
READ = {"shop.ingest-profile": {ANSWERS: 3}, "shop.learner": {OUTCOMES: 3}}


def waits(
    monkeypatch: pytest.MonkeyPatch,
    read: Mapping[str, Mapping[TopicPartition, int]],
    *,
    outcomes: bool,
) -> bool:
    def unread(_: KafkaConfig, begin: dict[Any, int], end: dict[Any, int]) -> dict[Any, int]:
        return {place: end[place] - begin[place] for place in end if begin[place] < end[place]}

    def firsts(_: object, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    monkeypatch.setattr(forget, "committed", lambda _: read)
    monkeypatch.setattr(forget, "firsts", firsts)
    monkeypatch.setattr(forget, "unread", unread)
    options = Options(outcomes=outcomes, timeout_s=-1.0)
    forgetting = Forgetting(KafkaConfig(topic_prefix="shop."), options, lambda *_: None)
    try:
        forgetting._until_all_read(None, {ANSWERS: 9, OUTCOMES: 9})
    except Unavailable:
        return True
    return False


def test_roles_that_read_outcomes_no_more_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for group, places in READ.items():
        assert waits(monkeypatch, {group: places}, outcomes=True)
        assert not waits(monkeypatch, {group: places}, outcomes=False)
    # Groups of the shop's own are, whatever they read.
    assert waits(monkeypatch, {"shop.mine": {OUTCOMES: 3}}, outcomes=False)
