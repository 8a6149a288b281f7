"""A pretrained base on disk: anyone's Llama, ours with heads and items, never half of either."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from transformers import LlamaModel

from features.catalog import Catalog
from learner import base
from learner.behaviour import Behaviour
from learner.config import LearnerConfig
from learner.evaluation_log import examples_of
from learner.online import OnlineLearner
from learner.pretraining import pretrain
from learner.pretraining_config import PretrainConfig
from learner.sequences import sequences_of
from learner.tower import Residuals
from stream.errors import SettingsError
from stream.events import Event
from tests.unit.learner.toy import CONFIG, START_MS, WIDTH, catalogue, shelf

ITEMS = 24
PRETRAIN = PretrainConfig(epochs=15, batch=16, steps=4, rate=1e-2, warmup=5, negatives=24, seed=1)


def walks(users: int, seed: int) -> list[Event]:
    """Everyone goes along the shelf, one item after the other, from another place on."""
    starts = np.random.default_rng(seed).integers(0, ITEMS, users).tolist()
    events = [
        Event(
            event_id=f"{seed}-{user}-{step}",
            user_id=f"u{user}",
            item_id=f"a{(start + step) % ITEMS}",
            kind="click",
            ts_ms=START_MS + step * 60_000 + user,
            source="",
            received_ms=0,
        )
        for user, start in enumerate(starts)
        for step in range(6)
    ]
    return sorted(events, key=lambda event: event.ts_ms)


def shop() -> Catalog:
    return catalogue(shelf("a", ITEMS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("pretrained") / "base"
    catalog = shop()
    model = Behaviour(CONFIG.model, WIDTH, seed=0)
    residuals = Residuals(model.width)
    ids = [catalog.item(row).item_id for row in range(ITEMS)]
    text = torch.from_numpy(catalog.vectors.copy())
    log = sequences_of(walks(60, seed=1), catalog)
    pretrain(model, residuals, text, log, PRETRAIN, item_ids=ids)
    base.save_base(folder, model, residuals, ids, steps=PRETRAIN.steps, encoder="toy")
    return folder


def with_base(folder: Path) -> LearnerConfig:
    model = msgspec.structs.replace(CONFIG.model, base=str(folder))
    return msgspec.structs.replace(CONFIG, model=model)


def damaged(folder: Path, there: Path) -> Path:
    there.mkdir()
    for path in folder.iterdir():
        (there / path.name).write_bytes(path.read_bytes())
    return there


def test_anyone_can_load_the_transformer(folder: Path) -> None:
    llama = LlamaModel.from_pretrained(folder)
    ours = Behaviour(with_base(folder).model, WIDTH, seed=5)
    tokens = torch.randn(2, 3, ours.width)
    with torch.no_grad():
        theirs = llama(inputs_embeds=tokens).last_hidden_state
        assert torch.equal(ours.body(inputs_embeds=tokens).last_hidden_state, theirs)


def test_heads_and_items_come_with_it(folder: Path) -> None:
    one = Behaviour(with_base(folder).model, WIDTH, seed=5)
    other = Behaviour(with_base(folder).model, WIDTH, seed=6)
    assert one.pretrained and not Behaviour(CONFIG.model, WIDTH, seed=5).pretrained
    assert one.output_DD.abs().max() > 0
    assert torch.equal(one.project_DE, other.project_DE)
    assert torch.equal(one.first_residuals(["a3"]), other.first_residuals(["a3"]))
    assert not torch.equal(one.first_residuals(["new"]), other.first_residuals(["new"]))
    assert not any(p.requires_grad for n, p in one.named_parameters() if "base_layer" in n)


def test_it_ranks_better_than_none_from_the_first_event_on(folder: Path) -> None:
    examples = list(examples_of(walks(40, seed=2), CONFIG.model.steps))
    first, later = {}, {}
    for name, config in (("with", with_base(folder)), ("without", CONFIG)):
        learner = OnlineLearner(shop(), config)
        with_past = [e for e in examples if e.history]
        first[name] = learner.learn_many(with_past[:16]).ndcg10
        later[name] = learner.learn_many(with_past[16:]).ndcg10
    assert first["with"] > first["without"] + 0.2
    assert later["with"] > later["without"]


def test_unseen_items_of_the_base_stay_known(folder: Path) -> None:
    learner = OnlineLearner(shop(), with_base(folder))
    events = [e for e in walks(40, seed=2) if e.item_id in ("a1", "a2", "a3")]
    learner.learn_many(list(examples_of(events, CONFIG.model.steps)))
    assert learner.ranker.residuals.admitted_I[:ITEMS].all()


@pytest.mark.parametrize("name", ["model.safetensors", "heads.safetensors", "items.json"])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    there = damaged(folder, tmp_path / "base")
    (there / name).unlink()
    with pytest.raises(SettingsError, match=rf"learner\.model\.base.*{name}.*pretrain"):
        Behaviour(with_base(there).model, WIDTH, seed=0)


def test_files_of_two_writings_are_not_taken_for_one(folder: Path, tmp_path: Path) -> None:
    there = damaged(folder, tmp_path / "base")
    ids = json.loads((there / "items.json").read_text())
    (there / "items.json").write_text(json.dumps(ids[::-1]))
    with pytest.raises(SettingsError, match="items.json that is not the one"):
        Behaviour(with_base(there).model, WIDTH, seed=0)


def test_pickles_are_not_read(folder: Path, tmp_path: Path) -> None:
    there = damaged(folder, tmp_path / "base")
    (there / "model.safetensors").rename(there / "pytorch_model.bin")
    with pytest.raises(SettingsError, match=r"pytorch_model\.bin, which is a pickle.*convert"):
        Behaviour(with_base(there).model, WIDTH, seed=0)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere.*is no folder.*tidemill pretrain"):
        Behaviour(with_base(tmp_path / "nowhere").model, WIDTH, seed=0)


def test_another_width_of_text_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"learner\.encoder\.width.* is 99.*width 8.*toy"):
        Behaviour(with_base(folder).model, 99, seed=0)


def test_a_llama_of_others_is_taken_without_heads(folder: Path, tmp_path: Path) -> None:
    there = damaged(folder, tmp_path / "base")
    (there / "tidemill.json").unlink()
    model = Behaviour(with_base(there).model, WIDTH, seed=0)
    assert not model.pretrained
    assert model.output_DD.abs().max() == 0
