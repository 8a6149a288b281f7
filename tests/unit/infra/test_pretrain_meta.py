"""`tidemill pretrain --meta`: what a log teaches of newcomers is a file of the base."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from msgspec.structs import replace

from infra.cli import cli
from infra.pretraining_run import Prepared, meta_of
from learner.base import save_base
from learner.behaviour import Behaviour
from learner.config import LearnerConfig
from learner.meta.config import EpisodeConfig, MetaConfig, TasteConfig
from learner.meta.trained import FILE
from learner.ranker import Ranker
from learner.sequences import lay_out
from learner.tower import Residuals
from stream.errors import SettingsError
from tests.unit.learner import toy

START = 1_600_000_000_000
META = MetaConfig(
    few=2,
    prototypes=EpisodeConfig(episodes=3, rank=2, ways=3),
    taste=TasteConfig(width=2, epochs=1),
)


def test_a_base_keeps_it_and_a_ranker_reads_it(tmp_path: Path) -> None:
    ids = toy.shelf("a", 5) + toy.shelf("b", 5)
    catalog = toy.catalogue(ids)
    user_N, row_N = np.repeat(np.arange(8), 3), np.arange(24) % 10
    sequences = lay_out(user_N, row_N, np.arange(24, dtype=np.int64))
    text_IE = torch.from_numpy(catalog.vectors.copy())
    prepared = Prepared(sequences, ids, text_IE, toy.WIDTH, "toy", 24)
    data = meta_of(prepared, LearnerConfig(meta=META))
    model = Behaviour(toy.CONFIG.model, toy.WIDTH, 0)
    residuals = Residuals(model.width)
    residuals.reserve(len(ids))
    save_base(tmp_path, model, residuals, ids, steps=4, encoder="toy", beside={FILE: data})

    config = replace(toy.CONFIG, meta=META, model=replace(toy.CONFIG.model, base=str(tmp_path)))
    newcomers = Ranker(catalog, config).newcomers
    assert newcomers is not None
    assert newcomers.trained is not None
    (tmp_path / FILE).write_bytes(data[:-1] + b"?")
    with pytest.raises(SettingsError, match=FILE):
        Ranker(catalog, config)


def test_a_log_without_texts_says_so(tmp_path: Path) -> None:
    rows = [
        {
            "ts_ms": 1_600_000_000_000 + n,
            "user_id": f"u{n % 9}",
            "item_id": f"i{n % 7}",
            "kind": "view",
        }
        for n in range(60)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["pretrain", str(path), "-o", str(tmp_path / "base"), "--meta"]
    with pytest.raises(SettingsError, match="--meta learns from texts"):
        CliRunner().invoke(cli, asked, catch_exceptions=False)
