"""Ids that carry their tenant: they never meet, and come out as they went in."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import Settings
from stream.batching import PlainRecord, Run
from stream.errors import BadRecord, SettingsError
from stream.events import (
    Forget,
    Recommendation,
    RecommendedItem,
    decode_event,
    decode_recommendation,
    json_encode,
)
from stream.forget import parse_forget, whom
from stream.ingest import Ingest
from stream.parse import (
    TopicKind,
    check_id,
    parse_event,
    parse_item,
    parse_item_key,
    parse_request,
)
from stream.parse_together import parse_together
from stream.tenants import TenantsConfig, inside, item_key, outside, tenant_of, told

NOW_MS = 1_777_626_000_000
TENANTS = frozenset({"acme", "brew"})
NAMES = st.sampled_from(["", "acme", "brew", "a", "0", "acme-2"])
IDS = st.text(min_size=1, max_size=40).filter(str.isprintable).map(str.strip).filter(bool)


def record(value: dict[str, Any], offset: int = 0, key: bytes | None = None) -> PlainRecord:
    return PlainRecord(key, json.dumps(value).encode(), offset, NOW_MS - 1)


def click(offset: int = 0, /, **more: Any) -> PlainRecord:
    return record({"user_id": "ada", "item_id": "pot", "ts": NOW_MS - 9, **more}, offset)


@given(st.lists(st.tuples(NAMES, IDS), unique=True, max_size=20))
def test_no_two_shops_ids_meet_and_each_comes_back(pairs: list[tuple[str, str]]) -> None:
    whole = [inside(tenant, name) for tenant, name in pairs]
    assert len(set(whole)) == len(pairs)
    assert [tuple(outside(one)) for one in whole] == pairs


@given(IDS)
def test_no_shop_can_send_an_id_that_is_anothers(name: str) -> None:
    with pytest.raises(BadRecord):
        check_id("user_id", inside("acme", name))
    check_id("user_id", name)


@given(NAMES, IDS, IDS)
def test_what_a_shop_is_told_has_its_own_ids_only(tenant: str, user: str, item: str) -> None:
    whole = inside(tenant, item)
    answer = Recommendation(
        recommendation_id="r",
        request_id="q",
        user_id=inside(tenant, user),
        ts_ms=0,
        items=(RecommendedItem(item_id=whole, score=1, reason=f"for {whole}", because_item=whole),),
        path="model",
        model_version=1,
    )
    heard = decode_recommendation(told(answer, answer.user_id))
    [one] = heard.items
    assert (heard.user_id, heard.tenant or "", one.item_id) == (user, tenant, item)
    assert (one.because_item, one.reason) == (item, f"for {item}")


@pytest.mark.parametrize("kind", ["clicks", "purchases", "reviews"])
@pytest.mark.parametrize("tenant", [None, "", "acme"])
def test_an_event_carries_its_tenant_in_its_ids(kind: TopicKind, tenant: str | None) -> None:
    sent = click(**({} if tenant is None else {"tenant": tenant}))
    event = parse_event(kind, sent.value, f"{kind}-0-0", NOW_MS - 1, NOW_MS, tenants=TENANTS)
    assert event.user_id == inside(tenant or "", "ada")
    assert event.item_id == inside(tenant or "", "pot")
    assert parse_together(kind, [sent], kind, 0, NOW_MS, TENANTS) == [event]
    assert decode_event(json_encode(event)) == event


@given(st.lists(st.sampled_from([None, "", "acme", "brew", "acne", 7]), min_size=1, max_size=6))
def test_many_at_once_are_judged_as_each_by_itself(tenants: list[Any]) -> None:
    sent = [
        click(n, **({} if name is None else {"tenant": name})) for n, name in enumerate(tenants)
    ]
    together = parse_together("clicks", sent, "clicks", 0, NOW_MS, TENANTS)
    each = []
    for n, one in enumerate(sent):
        try:
            each.append(
                parse_event(
                    "clicks", one.value, f"clicks-0-{n}", NOW_MS - 1, NOW_MS, tenants=TENANTS
                )
            )
        except BadRecord:
            assert together is None
            return
    assert together == each


def test_equal_event_ids_of_two_shops_are_two_events_and_of_one_shop_one() -> None:
    ingest = Ingest({"clicks": "clicks"}, tenants=TENANTS)
    sent = [
        click(n, event_id="e1", **({"tenant": tenant} if tenant else {}))
        for n, tenant in enumerate(["acme", "brew", "", "acme", "acne"])
    ]
    result = ingest.take(Run("clicks", 0, sent), NOW_MS)
    assert [event.key for event in result.events] == [b"acme\x1fada", b"brew\x1fada", b"ada"]
    assert (result.duplicates, dict(result.refused)) == (1, {"unknown_tenant": 1})
    message = dict(result.dead_letters[0].headers)["__connect.errors.exception.message"]
    assert message is not None
    assert message.endswith(b"`tenant` must be one of `tenants.names` (acme, brew), got 'acne'")


def test_without_tenants_a_record_that_names_one_says_so() -> None:
    with pytest.raises(BadRecord, match=r"one of `tenants.names` \(none is set\), got 'acme'"):
        parse_event("clicks", click(tenant="acme").value, "s", NOW_MS, NOW_MS)


def test_a_tenant_that_is_no_text_is_refused_by_name() -> None:
    with pytest.raises(BadRecord, match="`tenant` must be the name of a tenant, got 7") as caught:
        parse_event("clicks", click(tenant=7).value, "s", NOW_MS, NOW_MS, tenants=TENANTS)
    assert caught.value.reason == "wrong_type"


def test_an_item_has_the_key_of_its_shop_and_so_has_its_tombstone() -> None:
    item = {"item_id": "pot", "tenant": "acme"}
    assert parse_item(record(item, key=b"acme/pot"), TENANTS).tenant == "acme"
    with pytest.raises(BadRecord, match="`key` must be 'acme/pot'"):
        parse_item(record(item, key=b"pot"), TENANTS)
    assert parse_item_key(PlainRecord(b"acme/pot", None, 0), TENANTS) == "acme\x1fpot"
    assert parse_item_key(PlainRecord(b"acme/pot", None, 0)) == "acme/pot"
    assert parse_item_key(PlainRecord(b"acne/pot", None, 0), TENANTS) == "acne/pot"


def test_no_item_of_the_nameless_shop_has_the_key_of_a_tenants_item() -> None:
    item = record({"item_id": "acme/pot"}, key=b"acme/pot")
    with pytest.raises(BadRecord, match="its key would be that of acme's item 'pot'"):
        parse_item(item, TENANTS)
    assert parse_item(item).item_id == "acme/pot"


@given(st.lists(st.tuples(st.sampled_from(["", "acme", "brew"]), IDS), unique=True, max_size=12))
def test_items_that_are_let_through_have_keys_of_their_own(pairs: list[tuple[str, str]]) -> None:
    keys = {}
    for tenant, name in pairs:
        try:
            item = parse_item(record({"item_id": name, "tenant": tenant}), TENANTS)
        except BadRecord:
            continue
        key = item_key(item.tenant, item.item_id).encode()
        assert key not in keys
        keys[key] = inside(tenant, name)
        assert parse_item_key(PlainRecord(key, None, 0), TENANTS) == keys[key]


def test_requests_and_who_is_to_be_forgotten_name_their_shop() -> None:
    request = {"request_id": "r", "user_id": "ada", "tenant": "brew"}
    assert parse_request(record(request), TENANTS).tenant == "brew"
    with pytest.raises(BadRecord, match="tenants.names"):
        parse_request(record(request))
    forget = record({"user_id": "ada", "tenant": "brew"})
    assert whom(parse_forget(forget, TENANTS)) == "brew\x1fada"
    with pytest.raises(BadRecord, match="tenants.names"):
        parse_forget(forget, frozenset())
    assert b"tenant" not in json_encode(Forget(user_id="ada"))
    assert tenant_of(whom(Forget(user_id="ada"))) == ""


def test_the_names_are_a_closed_list() -> None:
    settings = Settings.load(environ={}, assignments=["tenants.names=acme,brew"])
    assert settings.section(TenantsConfig).known == TENANTS
    assert Settings.load(environ={}).section(TenantsConfig).known == frozenset()
    for wrong in ("Acme", "a/b", "a" * 33, '[""]', '["a\\u001fb"]'):
        with pytest.raises(SettingsError, match=r"tenants\.names"):
            Settings.load(environ={}, assignments=[f"tenants.names={wrong}"])


def test_a_record_of_before_there_were_tenants_is_what_it_was() -> None:
    answer = {"recommendation_id": "r", "request_id": "q", "user_id": "ada", "ts_ms": 0}
    value = json.dumps(answer | {"items": [], "path": "model", "model_version": None}).encode()
    heard = decode_recommendation(value)
    assert heard.tenant is cast(object, msgspec.UNSET)
    assert b"tenant" not in told(heard, heard.user_id)
