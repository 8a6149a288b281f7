"""Users in words: every claim is counted again from the events, and the sentences say no more."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from functools import cache

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Catalog
from features.drift_river import PageHinkleyDetector
from features.interest import InterestConfig, ItemSpace, category_name
from features.profile import MAX_STEPS, InterestModel, apply_all, features
from features.profile_draft import MOMENTS
from features.profile_state import EMPTY, Profile, decode, encode
from features.words import Describer
from features.words_text import MAX_CHARS, MAX_NAME, Share, Turn, Words, text_of
from stream.events import Event, ItemVector, ProfileText, decode_profile_text
from stream.shop import Shop, ShopConfig
from stream.tenants import told as as_told
from tests.unit.drawn_vectors import drawn_catalogue

DAY = r"(\d+ \w+ \d+)"
NOW = re.compile(r"Now most often (.+): (\d+) of the newest (\d+) events")
BRAND = re.compile(r"[Bb]y (.+) in (\d+) of (\d+)")
PRICES = re.compile(r"[Pp]rices of ([\d.]+) on average \((\d+) seen\)")
TURNED = re.compile(
    rf"On {DAY} interest turned to (.+?)"
    r"(?:; of the (\d+) kept events before, (\d+) were about (.+))?"
)
TOTAL = re.compile(
    rf"In all (\d+) events? from {DAY} to {DAY}: (.+?)"
    r"(?:; (\d+) of the newest (\d+) reviews praise (.+))?"
)
END = re.compile(r"(?<=[a-z0-9)])\. (?=[A-Z])")


@cache
def told_of_a_shop() -> tuple[Shop, Catalog, list[tuple[ProfileText, list[Event], Profile]]]:
    """Every description of a simulated shop's users, with all that its user had done by then."""
    shop = Shop(103, ShopConfig(shoppers=60))
    log = shop.clean_events(5_000)
    catalog = drawn_catalogue(shop, 103)
    branded = {item.item_id: item for item in shop.items()}
    known = [catalog.item(row) for row in range(len(catalog.available))]
    catalog.upsert(
        [
            msgspec.structs.replace(
                item, brand=branded[item.item_id].brand, price=branded[item.item_id].price
            )
            for item in known
        ]
    )
    config = InterestConfig()
    model = InterestModel(ItemSpace(catalog), PageHinkleyDetector(config), config)
    describer, told = Describer(model), []
    profiles: dict[str, Profile] = {}
    past: dict[str, list[Event]] = {}
    for start in range(0, len(log), 300):
        by_user: dict[str, list[tuple[int, Event]]] = {}
        for offset, event in enumerate(log[start : start + 300], start):
            by_user.setdefault(event.user_id, []).append((offset, event))
        for user_id, events in by_user.items():
            before = profiles.get(user_id, EMPTY)
            (done,) = apply_all([(before, events)], 0, model)
            [(profiles[user_id], text)] = describer.after([user_id], [(before, events)], [done], 0)
            mine = past.setdefault(user_id, [])
            mine += [event for _, event in events]
            if text is not None:
                at = next(n for n, e in enumerate(mine) if e.event_id == text.event_id)
                told.append((text, mine[: at + 1], profiles[user_id]))
    return shop, catalog, told


def day(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at.day} {at:%B %Y}"


def test_every_claim_is_counted_again_from_the_events() -> None:
    _, catalog, told = told_of_a_shop()
    assert {text.because for text, *_ in told} == {"events", "shift"}
    seen: Counter[str] = Counter()
    for text, past, _ in told:
        kept = sorted(past, key=lambda e: e.ts_ms)[-MAX_STEPS:]
        items = [catalog.item(catalog.row(e.item_id)) for e in kept]
        categories = [category_name(item.category) for item in items]
        sentences = [part.rstrip(".") for part in END.split(text.text)]
        total = TOTAL.fullmatch(sentences.pop())
        assert total, text.text
        kinds = Counter(e.kind for e in past)
        both = [one.split(" ") for one in total[4].split(", ")]
        said = {name: n for n, name in both}
        assert int(total[1]) == len(past) == text.user_events
        assert {name.removesuffix("s"): int(n) for name, n in said.items()} == kinds
        times = [e.ts_ms for e in past]
        assert (total[2], total[3]) == (day(min(times)), day(max(times)))
        if total[7]:
            seen["praise"] += 1
            reviews = [
                (c, e.rating or 0)
                for c, e in zip(categories, kept, strict=True)
                if e.kind == "review"
            ][-10:]
            assert int(total[6]) == len(reviews)
            assert int(total[5]) == sum(c == total[7] and rating > 3.5 for c, rating in reviews)
        for sentence in sentences:
            if sentence.startswith("On "):
                seen["turned"] += 1
                turned = TURNED.fullmatch(sentence)
                assert turned, sentence
                assert turned[2] in categories
                if turned[3]:
                    # The shift was found at an event of that day; what is counted came before it.
                    n, of, name = int(turned[4]), int(turned[3]), turned[5]
                    assert categories[:of].count(name) == n and day(kept[of].ts_ms) == turned[1]
                    assert n == max(Counter(c for c in categories[:of] if c != turned[2]).values())
                continue
            for part in sentence.split("; "):
                if now := NOW.fullmatch(part):
                    seen["now"] += 1
                    newest = categories[-10:]
                    assert (newest.count(now[1]), len(newest)) == (int(now[2]), int(now[3]))
                    assert newest.count(now[1]) == max(Counter(newest).values())
                elif brand := BRAND.fullmatch(part):
                    seen["brand"] += 1
                    brands = [item.brand for item in items[-10:]]
                    assert (brands.count(brand[1]), len(brands)) == (int(brand[2]), int(brand[3]))
                else:
                    prices = PRICES.fullmatch(part)
                    assert prices, f"{part} is not accounted for"
                    seen["prices"] += 1
                    paid = [
                        e.price
                        if e.price is not None
                        else catalog.item(catalog.row(e.item_id)).price
                        for e in past
                    ]
                    real = [price for price in paid if price is not None]
                    assert abs(float(prices[1]) - sum(real) / len(real)) < 0.011
                    assert int(prices[2]) == len(real)
    assert min(seen[name] for name in ("now", "brand", "prices", "turned")) > 30, seen
    assert seen["praise"], seen


def test_users_are_described_at_their_first_events_and_shifts_and_not_at_others() -> None:
    _, _, told = told_of_a_shop()
    for text, past, profile in told:
        if text.because == "events":
            assert len(past) in MOMENTS
        else:
            assert profile.shift.count > 0 and "interest turned to" in text.text
        assert features(text.user_id, profile).words == text.text
        assert decode(encode(profile)) == profile
    users = {text.user_id for text, *_ in told}
    assert len(told) < 5_000 / 10 and len(users) > 50


def one_by_one_and_together(cut: int) -> tuple[Profile, Profile]:
    catalog = Catalog(64)
    catalog.upsert([tea(n) for n in range(4)])
    config = InterestConfig()
    model = InterestModel(ItemSpace(catalog), PageHinkleyDetector(config), config)
    events = [(n, click(n)) for n in range(24)]

    def play(runs: list[list[tuple[int, Event]]]) -> Profile:
        profile = EMPTY
        for run in runs:
            (done,) = apply_all([(profile, run)], 0, model)
            [(profile, _)] = Describer(model).after(["ada"], [(profile, run)], [done], 0)
        return profile

    return play([[one] for one in events]), play([events[:cut], events[cut:]])


def tea(n: int) -> ItemVector:
    return ItemVector(
        item_id=f"tea-{n}",
        vector=b"",
        encoder="",
        text_hash="",
        first_seen_ms=0,
        category=("Tea" if n else "Mugs",),
        brand="Bob",
    )


def click(n: int) -> Event:
    return Event(
        event_id=f"e{n}",
        user_id="ada",
        item_id=f"tea-{n % 4}",
        kind="click",
        ts_ms=1_000 * n,
        source=f"tidemill.clicks-0-{n}",
        received_ms=1_000 * n,
    )


@given(cut=st.integers(1, 23))
def test_how_runs_are_cut_makes_no_difference(cut: int) -> None:
    single, together = one_by_one_and_together(cut)
    assert single.words == together.words and single.words.events == 20


def test_a_state_of_an_older_release_is_described_at_its_next_event() -> None:
    single, _ = one_by_one_and_together(5)
    config = InterestConfig()
    model = InterestModel(ItemSpace(Catalog(64)), PageHinkleyDetector(config), config)
    old = msgspec.structs.replace(single, words=Words())
    run = [(24, click(24))]
    (done,) = apply_all([(old, run)], 0, model)
    [(profile, text)] = Describer(model).after(["ada"], [(old, run)], [done], 0)
    assert text is not None and profile.words.events == 25


def test_a_shop_with_chinese_names_reads_chinese_and_a_tenants_user_has_their_own_id() -> None:
    said = text_of(Words((6, 0, 0, 2, 0), 0, 5, Share("厨房 > 茶叶", 4, 8)))
    assert said == (
        "目前最常关注厨房 > 茶叶：最近8次行为中有4次。"
        "1970年1月1日至1970年1月1日共8次行为：浏览6次、购买2次。"
    )
    text = ProfileText(
        user_id="acme\x1fada",
        text=said,
        language="zh",
        because="events",
        event_id="e",
        ts_ms=5,
        user_events=8,
    )
    read = decode_profile_text(as_told(text, text.user_id))
    assert (read.user_id, read.tenant, read.text) == ("ada", "acme", said)


NAMES = st.text(max_size=MAX_NAME)
SHARES = st.builds(Share, NAMES, st.integers(0, 50), st.integers(0, 50))


@given(
    st.builds(
        Words,
        counts=st.tuples(*[st.integers(0, 10**7)] * 5),
        first_ms=st.integers(0, 4 * 10**12),
        last_ms=st.integers(0, 4 * 10**12),
        category=SHARES,
        brand=SHARES,
        price=st.tuples(st.floats(0, 1e9), st.integers(0, 10**7)),
        turned=st.builds(Turn, NAMES, st.integers(0, 4 * 10**12), SHARES),
        praises=SHARES,
    )
)
def test_no_name_makes_a_text_long_or_breaks_it(words: Words) -> None:
    said = text_of(words)
    assert len(said) <= MAX_CHARS
    if words.events:
        names = (words.category.name, words.brand.name, words.turned.to, words.praises.name)
        assert all(name in said for name in names)
