"""Public logs, written here as their publishers write them, are read back as a shop's records."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.batching import PlainRecord
from stream.errors import SettingsError
from stream.events import Click, Item, Purchase, Review, json_encode
from stream.formats import Log, LogRecord, open_log
from stream.formats.log import Row, to_batches
from stream.formats.order import Sorter
from stream.parse import parse_event, parse_item

T0 = 1_577_836_800_000  # 2020-01-01


def write(path: Path, *rows: str, encoding: str = "utf-8") -> None:
    data = "".join(f"{row}\n" for row in rows).encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def items(log: Log) -> dict[str, Item]:
    found = [record.value for record in log.items()]
    assert all(isinstance(item, Item) for item in found)
    return {item.item_id: item for item in found if isinstance(item, Item)}


def events(log: Log) -> list[Click | Purchase | Review]:
    """The log's events, each of which ingest must accept."""
    found = list(log.events())
    assert len(found) == log.total_events
    assert [record.ts_ms for record in found] == sorted(record.ts_ms for record in found)
    for record in found:
        assert record.key == record.value.user_id.encode()  # type: ignore[union-attr]
        kind = record.topic
        assert kind in ("clicks", "purchases", "reviews")
        parse_event(kind, json_encode(record.value), "s", record.ts_ms, record.ts_ms)  # type: ignore[arg-type]
    for record in log.items():
        parse_item(PlainRecord(record.key, json_encode(record.value), 0))
    return [record.value for record in found if not isinstance(record.value, Item)]


def ids(log: Log) -> list[str | None]:
    return [event.event_id for event in events(log)]


def parquet(path: Path, **columns: Sequence[object]) -> None:
    pq.write_table(pa.table(columns), path)


def test_our_parquet_with_a_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    parquet(
        folder / "events.parquet",
        ts_ms=[T0, T0, T0 + 5],
        user_id=["ann", "bob", "ann"],
        item_id=["tea", "pot", "pot"],
        kind=["cart", "purchase", "review"],
        rating=pa.array([None, None, 4.0], pa.float32()),
        text=[None, None, "Good"],
        session_id=["s1", None, None],
        other=[None, '{"qty":6,"unit_price":2.5,"country":"x"}', None],
    )
    parquet(
        folder / "items.parquet",
        item_id=["tea"],
        title=["Green tea"],
        category=["Kitchen > Tea | Gifts"],
        price=[float("nan")],
    )
    parquet(folder / "returns.parquet", ts_ms=[1], user_id=["x"], item_id=["y"])
    log = open_log(folder)
    assert items(log) == {
        "tea": Item(item_id="tea", title="Green tea", category="Kitchen > Tea"),
        "pot": Item(item_id="pot"),
    }
    assert events(log) == [
        Click(
            user_id="ann",
            item_id="tea",
            ts=T0,
            action="cart",
            event_id="my-shop-0",
            session_id="s1",
        ),
        Purchase(user_id="bob", item_id="pot", ts=T0, quantity=6, price=2.5, event_id="my-shop-1"),
        Review(
            user_id="ann", item_id="pot", ts=T0 + 5, rating=4, text="Good", event_id="my-shop-2"
        ),
    ]
    topics = [record.topic for record in log.records()]
    assert topics == ["items", "items", "clicks", "purchases", "reviews"]


def test_unordered_parquet_is_sorted_and_ids_stay_with_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "spring.parquet"
    parquet(path, ts_ms=[T0 + 2, T0, T0], user_id=["a", "b", "c"], item_id=["x", "y", "z"])
    assert ids(open_log(path)) == ["spring-1", "spring-2", "spring-0"]


def test_an_order_without_dates_is_moved_to_dates(tmp_path: Path) -> None:
    parquet(tmp_path / "events.parquet", ts_ms=[0, 1_000], user_id=["a", "b"], item_id=["x", "x"])
    found = events(open_log(tmp_path))
    assert [event.ts for event in found] == [946_684_800_000, 946_684_801_000]


@pytest.mark.parametrize("end", ["", ".gz"])
def test_our_json_lines(tmp_path: Path, end: str) -> None:
    write(
        tmp_path / f"events.jsonl{end}",
        '{"ts_ms": 1577836800005, "user_id": "ann", "item_id": "tea", "kind": "view"}',
        "",
        '{"ts": "2020-01-01T00:00:00Z", "user_id": "bob", "item_id": "tea", "action": "cart"}',
        '{"ts": 1577836800009, "user_id": "bob", "item_id": "tea", "quantity": 2, "price": 3}',
        '{"ts": 1577836800010, "user_id": "bob", "item_id": "tea", "rating": 5, "new": []}',
    )
    write(tmp_path / f"items.jsonl{end}", '{"item_id": "tea", "title": "Tea", "category": ["a"]}')
    log = open_log(tmp_path)
    assert items(log) == {"tea": Item(item_id="tea", title="Tea", category=("a",))}
    kinds = [type(event).__name__ for event in events(log)]
    assert kinds == ["Click", "Click", "Purchase", "Review"]
    assert [event.ts for event in events(log)] == [T0, T0 + 5, T0 + 9, T0 + 10]


@pytest.mark.parametrize(
    "line",
    ['{"user_id": "ann"}', "nonsense", '{"user_id": "a", "item_id": "b", "ts": "late"}',
     '{"user_id": "a", "item_id": "b", "ts": 5, "kind": "stare"}'],
)  # fmt: skip
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    write(path, '{"ts_ms": 5, "user_id": "ann", "item_id": "tea"}', line)
    with pytest.raises(SettingsError, match=r"events\.jsonl, line 2: "):
        list(open_log(path).events())


def test_amazon_2014(tmp_path: Path) -> None:
    review = {
        "reviewerID": "A2", "asin": "B1", "helpful": [0, 1], "reviewText": "Sounds great",
        "overall": 5.0, "summary": "great", "unixReviewTime": 1_393_545_600,
        "reviewTime": "02 28, 2014",
    }  # fmt: skip
    write(
        tmp_path / "reviews_Musical_Instruments_5.json.gz",
        json.dumps(review),
        json.dumps(review | {"unixReviewTime": 1_363_392_000, "asin": "B9"}),
    )
    write(
        tmp_path / "meta_Musical_Instruments.json.gz",
        "{'asin': 'B1', 'title': \"Rock'n'roll strings\", 'price': 5.99, 'brand': 'Ernie', "
        "'categories': [['Musical Instruments', 'Strings'], ['Gifts']], 'imUrl': 'http://x'}",
        "{'asin': 'B2'}",
    )
    log = open_log(tmp_path)
    assert log.format == "Amazon Reviews 2014/2018"
    assert items(log) == {
        "B1": Item(
            item_id="B1",
            title="Rock'n'roll strings",
            brand="Ernie",
            price=5.99,
            category=("Musical Instruments", "Strings"),
        ),
        "B2": Item(item_id="B2"),
        "B9": Item(item_id="B9"),
    }
    first, second = events(log)
    assert (first.item_id, first.ts, first.event_id) == (
        "B9",
        1_363_392_000_000,
        "reviews_Musical_Instruments_5-1",
    )
    assert second == Review(
        user_id="A2",
        item_id="B1",
        ts=1_393_545_600_000,
        rating=5.0,
        title="great",
        text="Sounds great",
        event_id="reviews_Musical_Instruments_5-0",
    )


def test_amazon_2018_with_its_price_texts(tmp_path: Path) -> None:
    path = tmp_path / "Office_Products_5.json"
    write(
        path,
        '{"overall": 3.0, "vote": "2", "verified": true, "reviewTime": "01 5, 2018", "style": '
        '{"Size:": " 1"}, "reviewerID": "A1", "asin": "B1", "unixReviewTime": 1515110400}',
    )
    write(
        tmp_path / "meta_Office_Products.json",
        '{"asin": "B1", "title": "Pen", "description": ["Blue", "ink"], "price": "$1,299.00", '
        '"category": ["Office", "Pens"], "brand": ""}',
    )
    log = open_log(path)
    pen = items(log)["B1"]
    assert (pen.price, pen.description, pen.category) == (1299.0, "Blue ink", ("Office", "Pens"))
    assert events(log)[0].ts == 1_515_110_400_000


def test_amazon_2023(tmp_path: Path) -> None:
    write(
        tmp_path / "All_Beauty.jsonl.gz",
        '{"rating": 4.0, "title": "Nice", "text": "Smells good", "images": [], "asin": "B0", '
        '"parent_asin": "B1", "user_id": "AG", "timestamp": 1588687728923, "helpful_vote": 0}',
    )
    write(
        tmp_path / "meta_All_Beauty.jsonl.gz",
        '{"main_category": "All Beauty", "title": "Soap", "price": null, "store": "Howard", '
        '"categories": [], "description": [], "parent_asin": "B1"}',
    )
    log = open_log(tmp_path)
    assert log.format == "Amazon Reviews 2023"
    soap = Item(item_id="B1", title="Soap", brand="Howard", category=("All Beauty",))
    assert items(log) == {"B1": soap}
    (review,) = events(log)
    assert isinstance(review, Review)
    assert (review.ts, review.text, review.title) == (1_588_687_728_923, "Smells good", "Nice")


def test_movielens_100k(tmp_path: Path) -> None:
    write(tmp_path / "u.data", "196\t242\t3\t881250949", "186\t302\t5\t881250940")
    flags = "|".join("1" if n in (1, 5) else "0" for n in range(19))
    write(
        tmp_path / "u.item",
        f"242|Café Noir (1997)|01-Jan-1997||http://x|{flags}",
        encoding="latin-1",
    )
    write(tmp_path / "u1.base", "196\t242\t3\t881250949")
    log = open_log(tmp_path)
    assert items(log)["242"] == Item(item_id="242", title="Café Noir (1997)", category=("Action",))
    assert [(e.user_id, e.ts) for e in events(log)] == [
        ("186", 881_250_940_000),
        ("196", 881_250_949_000),
    ]


def test_movielens_dat_and_csv_say_the_same(tmp_path: Path) -> None:
    for name in ("ml-1m", "ml-latest"):
        (tmp_path / name).mkdir()
    write(tmp_path / "ml-1m" / "ratings.dat", "1::1193::5::978300760", "2::661::3::978302109")
    write(tmp_path / "ml-1m" / "movies.dat", "1193::Alien: One (1975)::Sci-Fi|Horror")
    write(
        tmp_path / "ml-latest" / "ratings.csv",
        "userId,movieId,rating,timestamp",
        "1,1193,5.0,978300760",
        "2,661,0.5,978302109",
    )
    write(
        tmp_path / "ml-latest" / "movies.csv",
        "movieId,title,genres",
        '1193,"Alien: One (1975)",Sci-Fi|Horror',
        '661,"Comma, The",(no genres listed)',
    )
    dat, table = open_log(tmp_path / "ml-1m"), open_log(tmp_path / "ml-latest")
    assert items(dat)["1193"] == items(table)["1193"]
    assert items(dat)["1193"].category == ("Sci-Fi",)
    assert items(table)["661"] == Item(item_id="661", title="Comma, The")
    assert [(e.user_id, e.item_id, e.ts) for e in events(dat)] == [
        (e.user_id, e.item_id, e.ts) for e in events(table)
    ]
    lowest = events(table)[1]
    assert isinstance(lowest, Review) and lowest.rating == 1.0


def test_retailrocket(tmp_path: Path) -> None:
    write(
        tmp_path / "events.csv",
        "timestamp,visitorid,event,itemid,transactionid",
        "1433221332117,257597,view,355908,",
        "1433224214164,992329,addtocart,248676,",
        "1433222276276,599528,transaction,356475,4000",
    )
    write(
        tmp_path / "item_properties_part1.csv",
        "timestamp,itemid,property,value",
        "1435460400000,460429,categoryid,1338",
        "1435460400001,460429,categoryid,1339",
        "1435460400000,460429,available,0",
        "1435460400000,460429,790,n552.000 639502",
    )
    write(tmp_path / "category_tree.csv", "categoryid,parentid", "1016,213")
    log = open_log(tmp_path)
    assert items(log)["460429"] == Item(
        item_id="460429", category=("category 1339",), available=False
    )
    assert [(type(e).__name__, getattr(e, "action", ""), e.user_id) for e in events(log)] == [
        ("Click", "view", "257597"),
        ("Purchase", "", "599528"),
        ("Click", "cart", "992329"),
    ]


def test_yoochoose_joins_clicks_and_buys(tmp_path: Path) -> None:
    write(
        tmp_path / "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0",
        "1,2014-04-07T10:54:09.868Z,214536500,S",
    )
    write(tmp_path / "yoochoose-buys.dat", "1,2014-04-07T10:53:00.000Z,214536502,12462,2")
    write(tmp_path / "yoochoose-test.dat", "5,2014-04-07T17:13:46.713Z,214530776,0")
    log = open_log(tmp_path)
    assert [type(event).__name__ for event in events(log)] == ["Click", "Purchase", "Click"]
    bought = events(log)[1]
    assert isinstance(bought, Purchase)
    assert (bought.quantity, bought.price, bought.user_id) == (2, 12_462, "s1")
    assert events(log)[0].ts == 1_396_867_869_277
    (tmp_path / "yoochoose-buys.dat").unlink()
    assert len(events(open_log(tmp_path / "yoochoose-clicks.dat"))) == 2


def test_what_is_no_log_is_said_with_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file or folder"):
        open_log(tmp_path / "nothing")
    write(tmp_path / "notes.txt", "hello")
    write(tmp_path / "numbers.json", "[1, 2]")
    parquet(tmp_path / "numbers.parquet", a=[1])
    for path in (tmp_path, *tmp_path.iterdir()):
        with pytest.raises(SettingsError) as caught:
            open_log(path)
        for name in ("Amazon 2023", "MovieLens", "RetailRocket", "YooChoose", "events.parquet"):
            assert name in str(caught.value)
    parquet(tmp_path / "events.parquet", ts_ms=[1], user_id=["a"])
    with pytest.raises(SettingsError, match=r"columns \['item_id'\] are missing"):
        open_log(tmp_path)


def test_two_logs_in_a_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / name, '{"ts_ms": 5, "user_id": "ann", "item_id": "tea"}')
    with pytest.raises(SettingsError, match=r"holds 2 logs \(a, b\)"):
        open_log(tmp_path)
    assert ids(open_log(tmp_path / "b.jsonl")) == ["b-0"]


def test_a_second_reading_gives_the_same_records(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, *(f'{{"ts_ms": {n % 3}, "user_id": "u", "item_id": "i{n}"}}' for n in range(9)))
    log = open_log(path)
    first: list[LogRecord] = list(log.records())
    assert first == list(log.records()) == list(open_log(path).records())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 2_000))
def test_sorting_on_disk_equals_sorting_in_memory(times: list[int], run_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sorter = Sorter(lambda: Path(folder), keep_rows=True, run_bytes=run_bytes)
        rows = iter([Row(ts, "u", f"i{ts}", "click") for ts in times])
        sorter.read(
            batch for row in rows for batch in to_batches([row, *itertools.islice(rows, 2)])
        )
        found = [
            (row[0], row[-1]) for columns in sorter.columns() for row in zip(*columns, strict=True)
        ]
    assert found == sorted((ts, at) for at, ts in enumerate(times))
    assert list(sorter.item_ids) == [f"i{ts}" for ts in dict.fromkeys(times)]


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "count"),
    [("uci_online_retail", 311_482), ("amazon_musical_instruments_2014", 10_261)],
)
def test_recorded_logs_are_read_whole(folder: str, count: int) -> None:
    data = os.environ.get("TIDEMILL_DATA")
    if not data:
        pytest.skip("TIDEMILL_DATA names no folder of recorded logs")
    log = open_log(Path(data) / folder)
    assert log.total_events == count
    assert len(events_of_first(log, 2_000)) == 2_000
    assert sum(1 for _ in log.items()) > 800


def events_of_first(log: Log, count: int) -> list[LogRecord]:
    found = list(itertools.islice(log.events(), count))
    for record in found:
        parse_event(record.topic, json_encode(record.value), "s", record.ts_ms, record.ts_ms)  # type: ignore[arg-type]
    return found
