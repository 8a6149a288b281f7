"""Settings: who outranks whom, what a wrong one is told, and what is never shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from features.store_config import StoreConfig
from infra.config import MetricsConfig
from infra.settings import SECTIONS, Settings
from learner.config import LearnerConfig
from stream.connect import KafkaConfig
from stream.errors import SettingsError


def load(*assignments: str, file: Path | None = None, **environ: str) -> Settings:
    return Settings.load(file, environ, assignments)


def test_each_source_outranks_the_one_before_and_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[kafka]\npartitions = 2\nreplication = 3\ntopic_prefix = "file."\n')
    settings = load(
        "kafka.partitions=16",
        file=file,
        TIDEMILL_KAFKA_PARTITIONS="8",
        TIDEMILL_KAFKA_TOPIC_PREFIX="env.",
    )
    kafka = settings.section(KafkaConfig)
    assert (kafka.partitions, kafka.topic_prefix, kafka.replication) == (16, "env.", 3)
    assert kafka.bootstrap_servers == "localhost:9092"
    assert [
        settings.origin(f"kafka.{key}")
        for key in ("partitions", "topic_prefix", "replication", "bootstrap_servers")
    ] == [
        "--set kafka.partitions",
        "environment TIDEMILL_KAFKA_TOPIC_PREFIX",
        str(file),
        "default",
    ]


def test_the_file_in_this_folder_is_read_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidemill.toml").write_text("[learner.encoder]\nwidth = 64\n")
    monkeypatch.chdir(tmp_path)
    assert load().section(LearnerConfig).encoder.width == 64


def test_nested_and_listed_values_can_be_written_as_text() -> None:
    learner = load("learner.train.rates=0.001,0.01", "learner.model.transformer=false").section(
        LearnerConfig
    )
    assert learner.train.rates == (0.001, 0.01)
    assert learner.model.transformer is False
    assert load(TIDEMILL_LEARNER_TRAIN_RATES="[0.5]").section(LearnerConfig).train.rates == (0.5,)


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("kafka.partition=4", r"no setting `kafka\.partition`; did you mean `kafka\.partitions`"),
        ("kafak.partitions=4", r"no section `kafak`; did you mean `kafka`"),
        ("kafka.partitions=none", r"`kafka\.partitions` must be an integer from 1 to 1024"),
        ("kafka.partitions=0", r"an integer from 1 to 1024, got '0'"),
        ("run.log_level=loud", r"must be one of DEBUG, ERROR, INFO, WARNING, got 'loud'"),
        ("stream.commit_interval_s=0", r"must be a number above 0"),
        ("kafka.partitions", r"wanted section\.key=value"),
    ],
)
def test_a_wrong_setting_is_told_what_would_be_right(assignment: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(assignment)


def test_a_wrong_variable_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean TIDEMILL_KAFKA_PARTITIONS"):
        load(TIDEMILL_KAFKA_PARTITION="4")
    broken = tmp_path / "broken.toml"
    broken.write_text("[kafka\n")
    with pytest.raises(SettingsError, match=r"broken\.toml can't be read"):
        load(file=broken)


def test_a_secret_among_the_settings_is_refused_and_never_shown() -> None:
    settings = load("store.redis=localhost:6379,password=hunter2")
    with pytest.raises(SettingsError, match=r"export the password as REDIS_PASSWORD") as refused:
        settings.section(StoreConfig)
    assert "hunter2" not in str(refused.value)
    row = next(row for row in settings.rows(["store"]) if row.path == "store.redis")
    assert row.value == "localhost:6379,password=•••"
    assert "hunter2" not in "".join(map(str, settings.rows()))
    with pytest.raises(SettingsError) as wrong:
        load("store.redis_cluster=password=hunter2")
    assert "hunter2" not in str(wrong.value)


def test_a_child_process_gets_the_same_settings() -> None:
    settings = load(
        "kafka.partitions=3", "learner.train.rates=0.5,0.25", "run.log_json=true", "run.data_dir=7"
    ).with_values({"metrics.learner": 0}, "the supervisor")
    again = Settings.load(None, settings.environment())
    assert again.section(KafkaConfig) == settings.section(KafkaConfig)
    assert again.section(LearnerConfig) == settings.section(LearnerConfig)
    assert again.section(MetricsConfig).learner == 0
    assert again.environment() == settings.environment()


def test_every_setting_is_described_and_its_default_is_allowed() -> None:
    rows = load().rows()
    assert {row.path.partition(".")[0] for row in rows} == set(SECTIONS)
    assert [row.path for row in rows if not row.description or not row.allowed] == []
    assert {row.origin for row in rows} == {"default"}


def test_a_section_brings_no_library_of_another() -> None:
    program = (
        "import sys\n"
        "from infra.settings import Settings\n"
        "from learner.config import LearnerConfig\n"
        "Settings.load().section(LearnerConfig)\n"
        "heavy = {'torch', 'faust', 'feast', 'kafka', 'aiokafka', 'transformers'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
