"""A teacher and what students learn from it: soft lists, their losses, and where items start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from learner.base import save_base
from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining import Pretraining, pretrain
from learner.pretraining_config import DistillConfig, PretrainConfig
from learner.pretraining_loss import Columns, Popularity
from learner.sequences import Sequences, lay_out, windows_of
from learner.soft_lists import SoftLists, soft_losses
from learner.teacher import Teacher, body_parameters
from learner.tower import Residuals
from stream.errors import SettingsError

ITEMS = 40
CPU = torch.device("cpu")
NAMES = [f"item-{n}" for n in range(ITEMS)]
CONFIG = PretrainConfig(
    epochs=12, batch=16, steps=6, rate=1e-2, warmup=5, negatives=16, dropout=0.0, patience=12
)
SMALL = ModelConfig(width=8, layers=1, heads=2, lora_rank=2)


def rounds(users: int = 60, length: int = 8) -> Sequences:
    """Everyone walks the shelves in one order, each from another place on: item n, then n + 1."""
    start = np.random.default_rng(0).integers(0, ITEMS, users)
    rows = (start[:, None] + np.arange(length)) % ITEMS
    ts = np.arange(length)[None] * 60_000 + np.arange(users)[:, None] + 1_700_000_000_000
    return lay_out(np.repeat(np.arange(users), length), rows.ravel(), ts.ravel())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("teacher") / "base"
    model = Behaviour(ModelConfig(width=32, layers=2, heads=2), 8, seed=3)
    config = msgspec.structs.replace(CONFIG, epochs=6)
    residuals = Residuals(model.width)
    report = pretrain(model, residuals, None, rounds(), config, item_ids=NAMES)
    assert report.ndcg10 > 0.8
    save_base(folder, model, residuals, NAMES, steps=CONFIG.steps)
    return folder


def teacher(folder: Path) -> Teacher:
    return Teacher(folder, None, NAMES, CPU)


def test_a_list_and_its_rest_are_all_of_the_softened_answer() -> None:
    logits = torch.randn(3, ITEMS, generator=torch.Generator().manual_seed(1)) * 3
    lists = SoftLists.empty(5, listed=6)
    lists.put(np.array([4, 0, 2]), logits, temperature=2.0)
    said = lists.of(np.array([4, 0, 2]))
    share = (logits / 2).softmax(dim=1)
    ours = torch.cat(
        [torch.from_numpy(said.logits_NK).float() / 2, torch.from_numpy(said.rest_N)[:, None]], 1
    ).softmax(dim=1)
    top = share.gather(1, torch.from_numpy(said.rows_NK).long())
    assert (top[:, :-1] >= top[:, 1:]).all()
    torch.testing.assert_close(ours[:, :6], top, atol=2e-3, rtol=0)
    torch.testing.assert_close(ours[:, 6], 1 - top.sum(dim=1), atol=2e-3, rtol=0)


def agreeing(config: DistillConfig, logits: torch.Tensor, taught: torch.Tensor) -> float:
    """What a student with these logits loses to a teacher with those, all items being scored."""
    lists = SoftLists.empty(len(taught), listed=5)
    lists.put(np.arange(len(taught)), taught, config.temperature)
    columns = Columns(np.arange(ITEMS), np.ones(ITEMS), torch.zeros(len(taught), dtype=torch.long))
    listed = logits.gather(1, torch.from_numpy(lists.rows_NK).long())
    return float(soft_losses(listed, logits, columns, lists, config))


def test_a_student_that_answers_like_its_teacher_loses_nothing() -> None:
    taught = torch.randn(4, ITEMS, generator=torch.Generator().manual_seed(0))
    config = DistillConfig(weight=1.0, temperature=3.0)
    assert agreeing(config, taught + 1.7, taught) == pytest.approx(0, abs=1e-3)
    assert agreeing(config, -taught, taught) > 0.1


def test_the_teachers_order_is_the_likeliest() -> None:
    taught = torch.arange(ITEMS).flip(0).float()[None] / 4
    config = DistillConfig(weight=0.0, ranking=1.0)
    swapped = taught.clone()
    swapped[0, :2] = taught[0, [1, 0]]
    unlisted = taught.clone()
    unlisted[0, 30] = 30.0
    right = agreeing(config, taught, taught)
    assert right < agreeing(config, swapped, taught) < agreeing(config, unlisted, taught)


def test_the_sampled_rest_is_the_whole_one_in_the_mean() -> None:
    generator = np.random.default_rng(0)
    popularity = Popularity(
        np.repeat(np.arange(200), 1 + np.arange(200) // 20).astype(np.int32), 200
    )
    both = torch.randn(2, 200, generator=torch.Generator().manual_seed(2))
    lists, config = SoftLists.empty(1, listed=10), DistillConfig(weight=1.0)
    lists.put(np.arange(1), both[:1], 1.0)
    listed = both[1:].gather(1, torch.from_numpy(lists.rows_NK).long())
    every = Columns(np.arange(200), np.ones(200), torch.zeros(1, dtype=torch.long))
    whole = float(soft_losses(listed, both[1:], every, lists, config))
    sampled = []
    for _ in range(200):
        columns = popularity.columns(np.array([7], np.int32), 60, generator)
        picked = both[1:, torch.from_numpy(columns.items_C)]
        sampled.append(float(soft_losses(listed, picked, columns, lists, config)))
    assert np.mean(sampled) == pytest.approx(whole, abs=0.02)


def test_the_lists_are_what_the_teacher_says_of_each_event(folder: Path) -> None:
    log, one = rounds(), teacher(folder)
    lists = one.lists(
        log, windows_of(log, 6), Popularity(log.rows_N, ITEMS), DistillConfig(listed=3)
    )
    follows_N = np.ones(len(log.rows_N), np.bool_)
    follows_N[log.starts_S] = False
    assert (lists.rows_NK[follows_N, 0] == log.rows_N[follows_N]).mean() > 0.9
    assert not lists.rows_NK[~follows_N].any()


def test_items_start_as_near_each_other_as_the_teachers(folder: Path) -> None:
    one = teacher(folder)
    student, residuals = Behaviour(SMALL, 8, seed=5), Residuals(SMALL.width)
    one.begin(student, residuals, Popularity(rounds().rows_N, ITEMS))
    theirs = one.reads.towers(np.arange(ITEMS)).detach()
    lost = (theirs @ theirs.T - residuals.vectors_ID @ residuals.vectors_ID.T).norm()
    assert float(lost) < 0.5 * float((theirs @ theirs.T).norm())


def test_a_student_learns_what_the_log_alone_does_not_say(folder: Path) -> None:
    log, config = rounds(), msgspec.structs.replace(CONFIG, epochs=3, distill=DistillConfig())
    reached = {}
    for name, taught_by in (("alone", None), ("taught", teacher(folder))):
        student = Behaviour(SMALL, 8, seed=5)
        report = pretrain(
            student, Residuals(8), None, log, config, item_ids=NAMES, teacher=taught_by
        )
        reached[name] = report.ndcg10
    assert reached["taught"] > reached["alone"] + 0.1
    assert body_parameters(student) < 0.1 * teacher(folder).parameters()


def test_a_student_goes_on_with_its_own_teacher_only(folder: Path) -> None:
    def begun(sha256: str) -> Pretraining:
        config = msgspec.structs.replace(CONFIG, distill=DistillConfig(teacher=sha256))
        student = Behaviour(SMALL, 8, seed=5)
        return Pretraining(
            student, Residuals(8), None, rounds(), config, item_ids=NAMES, teacher=teacher(folder)
        )

    kept = begun(teacher(folder).sha256).state()
    begun(teacher(folder).sha256).restore(kept)
    with pytest.raises(ValueError, match="no-resume"):
        begun("another").restore(kept)


def test_anyones_llama_is_no_teacher(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(SettingsError, match="a teacher is a folder of `tidemill pretrain`"):
        teacher(tmp_path)
