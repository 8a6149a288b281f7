"""Pretraining: the whole model learns a log, the best epoch stays, the base is frozen again."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pytest
import torch

from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining import Pretraining, pretrain
from learner.pretraining_config import PretrainConfig, PretrainReport
from learner.pretraining_loss import Popularity, gbce_loss, softmax_loss
from learner.pretraining_split import hold_out
from learner.sequences import Sequences, lay_out, shuffled, windows_of
from learner.tower import Residuals

ITEMS = 40
MODEL = ModelConfig(width=16, layers=1, heads=2, lora_rank=2)
CONFIG = PretrainConfig(
    epochs=12, batch=16, steps=6, rate=1e-2, warmup=5, negatives=16, dropout=0.0, patience=12
)


def rounds(users: int = 60, length: int = 8) -> Sequences:
    """Everyone walks the shelves in one order, each from another place on: item n, then n + 1."""
    start = np.random.default_rng(0).integers(0, ITEMS, users)
    rows = (start[:, None] + np.arange(length)) % ITEMS
    ts = np.arange(length)[None] * 60_000 + np.arange(users)[:, None] + 1_700_000_000_000
    return lay_out(np.repeat(np.arange(users), length), rows.ravel(), ts.ravel())


def names() -> list[str]:
    return [f"item-{n}" for n in range(ITEMS)]


def trained(config: PretrainConfig, seed: int = 3) -> tuple[Behaviour, Residuals, PretrainReport]:
    model, residuals = Behaviour(MODEL, 8, seed), Residuals(MODEL.width)
    return model, residuals, pretrain(model, residuals, None, rounds(), config, item_ids=names())


@pytest.mark.parametrize(
    ("loss", "offset"), [("softmax", True), ("softmax", False), ("gbce", True)]
)
def test_the_rule_of_a_log_is_learnt(loss: Literal["softmax", "gbce"], offset: bool) -> None:
    config = msgspec.structs.replace(CONFIG, loss=loss, popularity_offset=offset)
    _, residuals, report = trained(config)
    assert report.ndcg10 > 0.8
    assert report.epochs[0].ndcg10 < report.ndcg10
    assert residuals.admitted_I.all()


def test_text_alone_tells_items_apart() -> None:
    model = Behaviour(MODEL, ITEMS, 3)
    text = torch.eye(ITEMS)
    report = pretrain(model, Residuals(MODEL.width), text, rounds(), CONFIG, item_ids=names())
    assert report.ndcg10 > 0.8


def test_afterwards_the_base_is_frozen_and_the_adapters_are_fresh() -> None:
    fresh = Behaviour(MODEL, 8, 3)
    model, _, _ = trained(msgspec.structs.replace(CONFIG, epochs=1))
    assert list(model.learnt()) == list(fresh.learnt())
    before = dict(fresh.named_parameters())
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            assert torch.equal(parameter, before[name])
    weight = "body.base_model.model.layers.0.mlp.gate_proj.weight"
    assert not torch.equal(dict(model.named_parameters())[weight], before[weight])


def test_two_runs_with_one_seed_are_bit_equal() -> None:
    config = msgspec.structs.replace(CONFIG, epochs=2, dropout=0.2)
    one, other = trained(config), trained(config)
    assert torch.equal(one[1].vectors_ID, other[1].vectors_ID)
    for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
        assert torch.equal(a, b)
    assert one[2].epochs[-1].loss == other[2].epochs[-1].loss


def test_the_best_epoch_is_kept_and_patience_ends_the_run() -> None:
    config = msgspec.structs.replace(CONFIG, rate=0.5, epochs=30, patience=2)
    model, residuals, report = trained(config)
    assert len(report.epochs) == report.best + 2
    again = Pretraining(model, residuals, None, rounds(), config, item_ids=names())
    rank_N = again.rank(again.sequences, again.valid)
    assert float((rank_N <= 10).mean()) == pytest.approx(report.hr10)


def test_what_is_held_out_by_time_is_the_end_and_by_user_the_last_event() -> None:
    log = lay_out(np.array([0, 0, 0, 1, 1, 2]), np.arange(6), np.array([1, 5, 9, 2, 10, 3]))
    last = hold_out(log, PretrainConfig(holdout="last"))
    assert last.tolist() == [False, False, True, False, True, False]
    late = hold_out(log, PretrainConfig(valid_share=0.34))
    assert late.tolist() == [False, False, True, False, True, False]


def test_held_out_events_are_not_learnt() -> None:
    log = rounds()
    config = PretrainConfig(holdout="last")
    model = Behaviour(MODEL, 8, 3)
    pretraining = Pretraining(model, Residuals(MODEL.width), None, log, config, item_ids=names())
    assert pretraining.windows.positions() == len(log.rows_N) - 2 * len(log)
    ends = pretraining.train.rows_N[pretraining.train.ends_S - 1]
    assert (ends == log.rows_N[log.ends_S - 2]).all()


def test_every_window_comes_once_an_epoch() -> None:
    windows = windows_of(rounds(50), steps=3)
    parts = list(shuffled(windows, 7, np.random.default_rng(1)))
    begins = np.concatenate([part.begin_W for part in parts])
    assert sorted(begins.tolist()) == sorted(windows.begin_W.tolist())
    assert begins.tolist() != windows.begin_W.tolist()


def test_the_sampled_loss_is_the_full_one_where_all_items_are_scored() -> None:
    popularity = Popularity(np.array([0, 1, 1, 2], np.int32), 3)
    columns = popularity.columns(np.array([2, 0], np.int32), 3, np.random.default_rng(0))
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    full = torch.nn.functional.cross_entropy(logits, torch.tensor([2, 0]))
    torch.testing.assert_close(softmax_loss(logits, columns), full)
    assert float(gbce_loss(logits, columns, 3)) > 0


def test_the_sampled_loss_is_the_full_one_in_the_mean() -> None:
    rows = np.repeat(np.arange(200), np.arange(200) // 20 + 1).astype(np.int32)
    popularity = Popularity(rows, 200)
    logits = torch.randn(1, 200, generator=torch.Generator().manual_seed(0))
    full = float(torch.nn.functional.cross_entropy(logits, torch.tensor([7])))
    generator = np.random.default_rng(0)
    sampled = []
    for _ in range(300):
        columns = popularity.columns(np.array([7], np.int32), 60, generator)
        picked = logits[:, torch.from_numpy(columns.items_C)]
        sampled.append(float(softmax_loss(picked, columns)))
    assert np.mean(sampled) == pytest.approx(full, abs=0.15)


def test_resumed_equals_never_stopped() -> None:
    config = msgspec.structs.replace(CONFIG, epochs=4, dropout=0.2)
    straight = trained(config)
    kept = []
    half = msgspec.structs.replace(config, epochs=2)
    model, residuals = Behaviour(MODEL, 8, 3), Residuals(MODEL.width)
    pretrain(
        model,
        residuals,
        None,
        rounds(),
        half,
        item_ids=names(),
        after_epoch=lambda pretraining, _: kept.append(pretraining.state()),
    )
    model, residuals = Behaviour(MODEL, 8, 3), Residuals(MODEL.width)
    report = pretrain(model, residuals, None, rounds(), config, item_ids=names(), resume=kept[-1])
    assert [e.number for e in report.epochs] == [1, 2, 3, 4]
    assert torch.equal(residuals.vectors_ID, straight[1].vectors_ID)
    for a, b in zip(model.parameters(), straight[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_of_other_options_is_not_gone_on_from() -> None:
    model, residuals = Behaviour(MODEL, 8, 3), Residuals(MODEL.width)
    one = Pretraining(model, residuals, None, rounds(), CONFIG, item_ids=names())
    other = msgspec.structs.replace(CONFIG, negatives=8)
    two = Pretraining(model, residuals, None, rounds(), other, item_ids=names())
    with pytest.raises(ValueError, match="no-resume"):
        two.restore(one.state())


def test_a_linear_schedule_ends_at_nothing_and_its_epochs_are_fixed() -> None:
    config = msgspec.structs.replace(CONFIG, schedule="linear", epochs=2)
    model, residuals = Behaviour(MODEL, 8, 3), Residuals(MODEL.width)
    run = Pretraining(model, residuals, None, rounds(), config, item_ids=names())
    run.epoch()
    before = run.student.parameters["items"].detach().clone()
    kept = run.state()
    run.epoch()
    moved = (run.student.parameters["items"].detach() - before).abs().max()
    assert 0 < float(moved) < 0.1
    longer = msgspec.structs.replace(config, epochs=3)
    other = Pretraining(model, residuals, None, rounds(), longer, item_ids=names())
    with pytest.raises(ValueError, match="its options differs"):
        other.restore(kept)


def test_what_is_kept_is_the_mean_of_the_weights_on_the_way() -> None:
    at_end, mean = (
        trained(msgspec.structs.replace(CONFIG, epochs=1, average=average))[1].vectors_ID
        for average in (0.0, 0.9)
    )
    model, residuals = Behaviour(MODEL, 8, 3), Residuals(MODEL.width)
    run = Pretraining(model, residuals, None, rounds(), CONFIG, item_ids=names())
    start = run.student.parameters["items"][:-1].detach().clone()
    rows = torch.from_numpy(run.student.rows_N)
    assert float((mean[rows] - start).norm()) < float((at_end[rows] - start).norm())
    assert not torch.equal(mean, at_end)
