"""`tidemill export` as a person runs it, on a log and on what the topics hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from features.profile_state import EMPTY, encode
from infra import export_source, export_vectors, people
from infra.cli import cli
from infra.demo.fates import Place
from infra.demo.reading import Placed
from infra.export_vectors import Written
from learner.config import LearnerConfig
from learner.online import OnlineLearner
from learner.snapshot import Snapshots, publish_version
from learner.state import save_learner
from stream.batching import PlainRecord
from stream.connect import KafkaConfig
from stream.events import AdapterVersion, Choice, Event, Forget, Step, json_encode, msgpack_encode
from tests.unit.learner.toy import CONFIG, START_MS, WIDTH, catalogue, habits, shelf

ITEMS = shelf("a", 8) + shelf("b", 8)
SMALL = ["--set", "learner.encoder.model=", "--set", "learner.encoder.width=64"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [
        {"ts_ms": START_MS + n * 60_000, "user_id": f"u{n % 4}", "item_id": f"i{n % 6}"}
        for n in range(60)
    ]
    path = tmp_path / "tiny" / "events.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["export", *arguments])


def test_features_of_a_log_as_of_a_time(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    said = run(
        "features", "--log", str(log), "--as-of", "2023-11-14T22:43:20Z", "-o", str(out), *SMALL
    )
    assert said.exit_code == 0, said.output
    rows = pq.read_table(out / "features.parquet").to_pylist()
    assert {row["user_id"]: row["events"] for row in rows} == {"u0": 8, "u1": 8, "u2": 8, "u3": 7}
    assert "4 rows" in said.output


def test_features_for_moments_of_a_users_own(log: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.parquet"
    times = pa.array([START_MS + 60_000, START_MS], pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table({"user_id": ["u1", "u1"], "as_of": times}), wanted)
    out = tmp_path / "features"
    said = run("features", "--log", str(log), "--for", str(wanted), "-o", str(out), *SMALL)
    assert said.exit_code == 0, said.output
    rows = pq.read_table(out / "features.parquet").to_pylist()
    assert [row["events"] for row in rows] == [1, None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--log", "LOG"], "--as-of TIME"),
        (["--log", "LOG", "--as-of", "yesterday"], "--as-of"),
        (["--log", "LOG", "--for", "LOG"], "user_id and as_of"),
        (["--log", "LOG", "--for", "NULL"], "without a user_id or an as_of"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    log: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    null = tmp_path / "null.parquet"
    times = pa.array([START_MS, None], pa.timestamp("ms", tz="UTC"))
    pq.write_table(pa.table({"user_id": ["u1", "u1"], "as_of": times}), null)
    files = {"LOG": str(log), "NULL": str(null)}
    said = run("features", *(files.get(a, a) for a in arguments), "-o", str(tmp_path))
    assert said.exit_code != 0 and words in said.output + str(said.exception)


@pytest.mark.parametrize(
    "arguments", [["features", "--as-of", "0"], ["vectors"], ["aggregates", "--epsilon", "1"]]
)
def test_a_shop_that_isnt_there_is_no_empty_one(tmp_path: Path, arguments: list[str]) -> None:
    said = run(*arguments, "--tenant", "acne", "-o", str(tmp_path / "out"))
    assert said.exit_code != 0 and "tenants.names" in said.output + str(said.exception)
    assert not (tmp_path / "out").exists()


Read = Callable[[KafkaConfig, str], Iterator[Placed]]


def reading(topics: dict[str, list[tuple[str | None, bytes | None, int]]]) -> Read:
    """A broker whose topics hold these keys and values, received at these times."""

    def read_topic(_: KafkaConfig, topic: str) -> Iterator[Placed]:
        for offset, (key, value, at_ms) in enumerate(topics.get(topic, [])):
            record = PlainRecord(None if key is None else key.encode(), value, offset, at_ms)
            yield Placed(Place(topic, 0, offset), record)

    return read_topic


OPTED_OUT = json_encode(Choice(user_id="dan", personalised=False))


def test_vectors_of_one_shop_without_who_is_to_be_forgotten_or_has_opted_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = OnlineLearner(catalogue(ITEMS), CONFIG)
    learner.learn_many(habits(240, 8))
    version = publish_version(
        Snapshots(tmp_path / "models", 2),
        7,
        save_learner(learner),
        model="m",
        parent=None,
        created_ms=0,
        figures={},
    )
    profile = replace(
        EMPTY, steps=(Step("a1", "click", START_MS),), counts=(0, 1, 0, 0, 0), last_ms=START_MS
    )
    state = encode(profile)
    topics: dict[str, list[tuple[str | None, bytes | None, int]]] = {
        "tidemill.item-vectors": [
            *(
                (item_id, msgpack_encode(catalogue(ITEMS).item(n)), 0)
                for n, item_id in enumerate(ITEMS)
            ),
            ("acme\x1fpot", b"another shop's", 0),
        ],
        "tidemill.ingest-profile-profiles-changelog": [
            ("ada", state, 0),
            ("acme\x1fada", b"another shop's", 0),
            ("bob", state, 0),
            ("dan", state, 0),
            ("eve", state, 0),
            ("eve", None, 0),
        ],
        "tidemill.forget": [(None, json_encode(Forget(user_id="bob")), 5)],
        "tidemill.choices": [("dan", OPTED_OUT, 0)],
        "tidemill.adapters": [("m", json_encode(version), 0)],
    }
    for module in (export_source, export_vectors, people):
        monkeypatch.setattr(module, "read_topic", reading(topics))
    config = replace(CONFIG, encoder=replace(LearnerConfig().encoder, model="", width=WIDTH))
    found = export_vectors.export_vectors(KafkaConfig(), config, "", tmp_path)
    assert found == Written(items=16, users=1, version=version.version)
    users = pq.read_table(tmp_path / "users.parquet").to_pylist()
    items = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert [user["user_id"] for user in users] == ["ada"]
    assert len(users[0]["learnt_vector"]) == len(items[0]["learnt_vector"]) == 16
    assert len(items[0]["text_vector"]) == WIDTH


def test_the_version_is_the_one_that_answers_though_a_higher_one_was_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said(number: int, status: Literal["live", "rolled-back"]) -> bytes:
        return json_encode(
            AdapterVersion(
                model="acme/behaviour",
                version=number,
                path="",
                sha256="",
                created_ms=0,
                status=status,
                parent=None,
                offsets={},
                learnt=0,
            )
        )

    order = [said(4, "live"), said(5, "live"), said(5, "rolled-back"), said(4, "live")]
    topics: dict[str, list[tuple[str | None, bytes | None, int]]] = {
        "tidemill.adapters": [("acme/behaviour", value, 0) for value in order]
    }
    monkeypatch.setattr(export_vectors, "read_topic", reading(topics))
    found = export_vectors.newest_version(KafkaConfig(), "acme")
    assert found is not None and found.version == 4
    assert export_vectors.newest_version(KafkaConfig(), "") is None


def test_events_of_one_shop_without_who_is_to_be_forgotten_or_has_opted_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [
        Event(
            event_id=f"e-{user_id}",
            user_id=user_id,
            item_id="a1",
            kind="click",
            ts_ms=START_MS,
            source="",
            received_ms=3,
        )
        for user_id in ("ada", "bob", "dan", "acme\x1fada")
    ]
    topics: dict[str, list[tuple[str | None, bytes | None, int]]] = {
        "tidemill.events": [(event.user_id, json_encode(event), 3) for event in events],
        "tidemill.forget": [(None, json_encode(Forget(user_id="bob")), 5)],
        "tidemill.choices": [("dan", OPTED_OUT, 0)],
    }
    for module in (export_source, people):
        monkeypatch.setattr(module, "read_topic", reading(topics))
    for tenant, users in (("", ["ada"]), ("acme", ["acme\x1fada"])):
        source = export_source.from_topics(KafkaConfig(), tenant, 8)
        assert [event.user_id for _, event in source.events] == users
