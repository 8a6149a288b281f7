"""From a recorded log to a base on disk, with a bar that says how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from features.catalog import Catalog
from infra.evaluation_run import load_catalogue, load_events
from learner.base import save_base
from learner.behaviour import Behaviour
from learner.config import LearnerConfig
from learner.device import pick_device
from learner.encoder import TextEncoder
from learner.meta.trained import FILE, to_bytes, train_meta
from learner.pretraining import Pretraining
from learner.pretraining_config import Epoch, Moment, PretrainConfig, PretrainReport
from learner.pretraining_kept import pretrain_kept
from learner.sequences import Sequences, sequences_of
from learner.tower import Residuals
from stream.events import Event, ItemVector
from stream.formats import Log

EPOCHS = "epochs"
"""The folder, inside the base's, that keeps epochs to go on from."""


class Bar:
    """What is shown on stderr: the pass over the log, its loss, the last validation, time left."""

    def __init__(self, bar: Progress, epochs: int) -> None:
        self._bar = bar
        self._epochs = epochs
        self._task = bar.add_task("reading the log", total=None)
        self.kept = 0

    def encoded(self, _: str, done: int, total: int) -> None:
        """Texts have been encoded."""
        self._bar.update(self._task, description="text of items", completed=done, total=total)

    def asked(self, done: int, total: int) -> None:
        """A teacher has answered."""
        self._bar.update(self._task, description="asking the teacher", completed=done, total=total)

    def moment(self, moment: Moment) -> None:
        """A batch has been learnt."""
        before = "" if moment.ndcg10 is None else f"  NDCG@10 {moment.ndcg10:.4f}"
        self._bar.update(
            self._task,
            description=f"epoch {moment.epoch}/{self._epochs}  loss {moment.loss:.3f}{before}",
            completed=(moment.epoch - 1) * moment.total + moment.done,
            total=self._epochs * moment.total,
        )

    def epoch(self, pretraining: Pretraining, epoch: Epoch) -> None:
        """An epoch is over, and kept."""
        self.kept = epoch.number
        star = "  best so far" if pretraining.best_epoch == epoch.number else ""
        self._bar.console.print(
            f"epoch {epoch.number:>3}  loss {epoch.loss:.4f}  validation NDCG@10 "
            f"{epoch.ndcg10:.4f}  HR@10 {epoch.hr10:.4f}  {epoch.seconds:.1f} s{star}",
            highlight=False,
        )

    def stopped(self, folder: Path) -> None:
        """Say how to go on."""
        where = f"epoch {self.kept} is kept in {folder / EPOCHS}" if self.kept else "no epoch ended"
        self._bar.console.print(f"stopped; {where}: the same command goes on", highlight=False)


@contextmanager
def progress_bar(epochs: int) -> Iterator[Bar]:
    """The bar, on stderr; time left is for all epochs, and patience may end them sooner."""
    columns = (
        TextColumn("{task.description:<44}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar, epochs)


class Prepared(NamedTuple):
    """A log as pretraining reads it."""

    sequences: Sequences
    ids: list[str]
    """Every row's id."""
    text_IE: torch.Tensor | None
    text_width: int
    encoder: str
    """Its name; empty without any text."""
    events: int


def prepare(log: Log, learner: LearnerConfig, share: float, bar: Bar) -> Prepared:
    """Read the first share of a log, and encode the texts of its items."""
    torch.set_num_threads(learner.threads or torch.get_num_threads())
    events = load_events(log)
    events = events[: int(len(events) * share)]
    encoders: list[TextEncoder] = []

    def encoder() -> TextEncoder:
        encoders.append(TextEncoder(learner.encoder))
        return encoders[0]

    catalog = load_catalogue(log, events, learner, encoder, bar.encoded)
    admit_bare(catalog, events)
    return Prepared(
        sequences_of(events, catalog),
        [catalog.item(row).item_id for row in range(len(catalog))],
        torch.from_numpy(catalog.vectors.copy()) if encoders else None,
        catalog.width,
        encoders[0].name if encoders else "",
        len(events),
    )


def pretrain_log(
    log: Log,
    folder: Path,
    learner: LearnerConfig,
    config: PretrainConfig,
    *,
    share: float,
    resume: bool,
    bar: Bar,
    meta: bool = False,
) -> PretrainReport:
    """Pretrain on the first share of a log, and write the base; `meta`: for newcomers, too.

    Raises
    ------
    ValueError
        If there is nothing to learn or to validate on, or if what the folder keeps is of another
        log or other options.
    """
    prepared = prepare(log, learner, share, bar)
    beside: dict[str, bytes] = {}
    if meta:
        beside[FILE] = meta_of(prepared, learner)
    device = pick_device(learner.device)
    model = Behaviour(learner.model, prepared.text_width, config.seed).to(device)
    residuals = Residuals(model.width)
    report = pretrain_kept(
        folder / EPOCHS,
        model,
        residuals,
        prepared.text_IE,
        prepared.sequences,
        config=config,
        item_ids=prepared.ids,
        resume=resume,
        progress=bar.moment,
        after_epoch=bar.epoch,
    )
    figures = msgspec.to_builtins(report) | {"data": log.name, "events": prepared.events}
    figures["config"] = msgspec.to_builtins(config)
    save_base(
        folder,
        model,
        residuals,
        prepared.ids,
        steps=config.steps,
        encoder=prepared.encoder,
        figures=figures,
        beside=beside,
    )
    return report


def meta_of(prepared: Prepared, learner: LearnerConfig) -> bytes:
    """What the log's users teach of newcomers, as a file of the base."""
    if prepared.text_IE is None:
        message = "--meta learns from texts, and no item of this log has one: leave it out"
        raise ValueError(message)
    return to_bytes(train_meta(prepared.text_IE.numpy(), prepared.sequences, learner.meta))


def admit_bare(catalog: Catalog, events: list[Event]) -> None:
    """Make rows for the items that only the events know."""
    unknown = dict.fromkeys(e.item_id for e in events if catalog.row(e.item_id) < 0)
    catalog.upsert(
        [
            ItemVector(item_id=i, vector=b"", encoder="", text_hash="", first_seen_ms=0)
            for i in unknown
        ]
    )
