"""A ranker and a learner as named arrays, and back: item by id, bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.config import LearnerConfig
from learner.grown import grown
from learner.online import OnlineLearner
from learner.ranker import Ranker, served
from learner.replay import Replay
from learner.snapshot import Arrays, Saved
from learner.step import Trainer

_IDS = "items"

READER = "reader"
"""What arrays of the reader of reviews begin with, beside the learner's own."""

STUDENT = "student"
"""What arrays of the student begin with; serving reads them in place of the base's."""

_NO_SHAPE = ("residuals_max", "student")
"""Settings of the model that a checkpoint may differ in."""


def under(prefix: str, arrays: Mapping[str, Any]) -> Arrays:
    """Arrays whose names begin so."""
    return {f"{prefix}/{name}": np.asarray(array) for name, array in arrays.items()}


def part(prefix: str, arrays: Arrays) -> Arrays:
    """Those whose names begin so, without that beginning."""
    start = f"{prefix}/"
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def _tensors(prefix: str, arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in part(prefix, arrays).items()}


def _named(parameters: Iterable[tuple[str, torch.Tensor]]) -> dict[str, NDArray[np.generic]]:
    return {name: value.detach().cpu().numpy() for name, value in parameters}


def save_ranker(ranker: Ranker) -> Arrays:
    """Everything that scoring needs. The arrays are copied: the ranker may go on learning."""
    catalog = ranker.catalog
    ids = msgspec.msgpack.encode([catalog.item(row).item_id for row in range(len(catalog))])
    ranker.experts.reserve(len(catalog))
    arrays: Arrays = {_IDS: np.frombuffer(ids, np.uint8)}
    arrays |= under("experts", _trimmed(ranker, len(catalog)))
    arrays |= under("correction", _named(ranker.correction.named_parameters()))
    arrays |= under("stacking", ranker.stacking.state())
    arrays |= _transformer(ranker)
    if ranker.student is not None:
        arrays |= under(STUDENT, _transformer(ranker.student))
    if ranker.newcomers is not None:
        arrays |= under("newcomers", ranker.newcomers.state())
    arrays["weighing"] = ranker.weighing.losses
    arrays["switches"] = np.array([ranker.trained, ranker.blend], np.float64)
    return {name: np.array(array) for name, array in arrays.items()}


def _transformer(ranker: Ranker) -> Arrays:
    arrays = under("residuals", ranker.residuals.state())
    if ranker.behaviour is not None:
        arrays |= under("behaviour", _named(ranker.behaviour.named_parameters()))
    return arrays


def _trimmed(ranker: Ranker, items: int) -> Arrays:
    arrays = ranker.experts.state()
    return {k: v[..., :items] if k.endswith("I") else v for k, v in arrays.items()}


def load_ranker(ranker: Ranker, arrays: Arrays) -> NDArray[np.int64]:
    """Fill a fresh ranker; returns the row here of each saved item, negative if it is unknown."""
    arrays = grown(arrays)
    ids = msgspec.msgpack.decode(arrays[_IDS].tobytes(), type=list[str])
    row_of_I = ranker.catalog.rows(ids).astype(np.int64)
    items = len(ranker.catalog)
    ranker.experts.restore(part("experts", arrays), row_of_I, items)
    ranker.stacking.restore(part("stacking", arrays))
    _fill(ranker.correction, _tensors("correction", arrays))
    _restore_transformer(ranker, arrays, row_of_I)
    if ranker.student is not None and has_student(ranker.student, arrays):
        _restore_transformer(ranker.student, part(STUDENT, arrays), row_of_I)
    newcomers = part("newcomers", arrays)
    if ranker.newcomers is not None and newcomers:
        ranker.newcomers.restore(newcomers, row_of_I, items)
    ranker.weighing.losses = arrays["weighing"].copy()
    trained, blend = arrays["switches"]
    ranker.trained, ranker.blend = bool(trained), float(blend)
    ranker.tower.stale()
    return row_of_I


def has_student(student: Ranker, arrays: Arrays) -> bool:
    """Whether a snapshot has this student: another one begins with its folder."""
    assert student.behaviour is not None
    saved = part(f"{STUDENT}/behaviour", arrays)
    ours = dict(student.behaviour.named_parameters())
    return saved.keys() == ours.keys() and all(
        saved[name].shape == tuple(parameter.shape) for name, parameter in ours.items()
    )


def _restore_transformer(ranker: Ranker, arrays: Arrays, row_of_I: NDArray[np.int64]) -> None:
    ranker.residuals.restore(part("residuals", arrays), row_of_I, len(ranker.catalog))
    if ranker.behaviour is not None:
        _fill(ranker.behaviour, _tensors("behaviour", arrays))
    ranker.tower.stale()


@torch.no_grad()
def _fill(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, parameter in module.named_parameters():
        value = tensors[name]
        # What is frozen is the file of a base, mapped, which all who have it share until written.
        frozen = not parameter.requires_grad and parameter.device == value.device
        if not (frozen and torch.equal(parameter, value)):
            parameter.copy_(value)


def meta_of(learner: OnlineLearner) -> dict[str, Any]:
    """What a snapshot says beside its arrays."""
    return {
        "config": msgspec.to_builtins(learner.config),
        "width": learner.catalog.width,
        "offsets": {str(partition): offset for partition, offset in learner.offsets.items()},
        "learnt": learner.learnt,
        "batches": learner.batches,
        "last_loss": learner.last_loss,
        "drift_excess": learner.response.excess,
        "recent": {name: [m.total, m.weight] for name, m in learner.recent.items()},
    }


def _shape(model: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal; as a manifest has it, where a tuple is a list."""
    kept = {name: value for name, value in model.items() if name not in _NO_SHAPE}
    return msgspec.json.decode(msgspec.json.encode(kept), type=dict[str, Any])


def save_learner(learner: OnlineLearner) -> Saved:
    """Everything that learning needs, as a checkpoint holds it."""
    arrays = save_ranker(learner.ranker)
    arrays |= under("replay", learner.replay.state())
    arrays |= under("late", learner.late.state())
    trainer = learner.trainer
    arrays |= under("net_adam", _named(trainer.net_adam.state().items()))
    if trainer.behaviour is not None:
        arrays |= under("behaviour_adam", _named(trainer.behaviour.adam.state().items()))
        arrays |= under("update_rule", trainer.behaviour.state())
    if trainer.follower is not None:
        arrays |= under("student_adam", _named(trainer.follower.adam.state().items()))
        arrays |= under("student_rule", trainer.follower.state())
    return Saved({name: np.array(array) for name, array in arrays.items()}, meta_of(learner))


def load_learner(learner: OnlineLearner, saved: Saved) -> None:
    """Bring a fresh learner to where a checkpoint was written.

    Raises
    ------
    ValueError
        If the checkpoint was written with another shape of model.
    """
    arrays, meta = grown(saved.arrays), saved.meta
    if _shape(meta["config"]["model"]) != _shape(msgspec.to_builtins(learner.config.model)):
        msg = (
            "the checkpoint was written with other settings of `learner.model`; restore them, or "
            "start with an empty data folder"
        )
        raise ValueError(msg)
    row_of_I = load_ranker(learner.ranker, arrays)
    learner.replay.restore(part("replay", arrays), row_of_I)
    learner.late.restore(part("late", arrays))
    trainer = learner.trainer
    trainer.net_adam.restore(_tensors("net_adam", arrays))
    if trainer.behaviour is not None:
        trainer.behaviour.adam.restore(_tensors("behaviour_adam", arrays))
        trainer.behaviour.restore(part("update_rule", arrays), row_of_I)
    if trainer.follower is not None and has_student(trainer.follower.ranker, arrays):
        trainer.follower.adam.restore(_tensors("student_adam", arrays))
        trainer.follower.restore(part("student_rule", arrays), row_of_I)
    learner.offsets = {int(partition): offset for partition, offset in meta["offsets"].items()}
    learner.learnt = meta["learnt"]
    learner.batches = meta["batches"]
    learner.last_loss = meta["last_loss"]
    learner.response.excess = meta["drift_excess"]
    for name, (total, weight) in meta["recent"].items():
        if name in learner.recent:  # a student's, where there is one no more
            learner.recent[name].total, learner.recent[name].weight = total, weight


def go_back(learner: OnlineLearner, arrays: Arrays) -> None:
    """Take a learner back to weights and counts of before, but not to offsets of before.

    Nothing that only learning needs is left: the moments of its steps, the examples to replay and
    those that wait for their items belong to what is given up.
    """
    load_ranker(learner.ranker, arrays)
    learner.ranker.blend = 1.0  # of a version whose correction was off
    train, model = learner.config.train, learner.config.model
    learner.trainer = Trainer(learner.ranker, learner.peers)
    learner.replay = Replay(train.replay_size, model.transformer_steps, train.listed)
    learner.late.clear()


def ranker_of(saved: Saved, catalog: Catalog, device: str = "auto") -> Ranker:
    """A ranker as a published version describes it, bound to the local catalogue.

    Where the version has a student, it stands in the base's place.
    """
    config = msgspec.convert(saved.meta["config"], LearnerConfig)
    arrays = saved.arrays
    if config.model.student:
        arrays = arrays | part(STUDENT, arrays)
    ranker = Ranker(catalog, msgspec.structs.replace(served(config), device=device))
    load_ranker(ranker, arrays)
    return ranker
