"""What a shop with a log does before it goes live: the transformer learns the log first.

The first part of the history is counted and pretrained on, as `tidemill pretrain` would; the rest
of it is learnt as the stream is, so that weights find out what the pretrained scores are worth on
events that these haven't learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from learner.meta.trained import train_meta
from learner.online import OnlineLearner
from learner.pretraining import pretrain
from learner.pretraining_config import Moment, PretrainConfig
from learner.sequences import sequences_of, windows_of
from stream.events import Event

SHARE = 0.85
"""The share of the history that is pretrained on: the rest is enough to learn some 40 weights."""

FEWEST = 1_000
"""Shorter histories teach a transformer nothing."""

PRETRAINING = PretrainConfig(epochs=4, batch=32, rate=0.005, warmup=20, steps=16)
"""Few passes with large steps: chosen on the first 70 % of four logs, the same for all."""


class Rest:
    """A learner's transformer put aside while the rest of it learns.

    Use it before the first event, and `wake` it once.
    """

    def __init__(self, learner: OnlineLearner) -> None:
        self._learner = learner
        self._behaviour, self._teacher = learner.ranker.behaviour, learner.trainer.behaviour
        learner.ranker.behaviour = learner.trainer.behaviour = None

    def wake(self) -> None:
        """Put it back."""
        self._learner.ranker.behaviour = self._behaviour
        self._learner.trainer.behaviour = self._teacher


def pretrain_on(
    learner: OnlineLearner,
    events: Sequence[Event],
    config: PretrainConfig,
    progress: Callable[[int, int], None],
) -> None:
    """Pretrain a learner's transformer on events, in place; does nothing where there is nothing.

    Parameters
    ----------
    learner
        Its catalogue holds the events' items.
    events
        In time order.
    config
        Its seed is the learner's.
    progress
        Told positions done and all positions.
    """
    ranker, catalog = learner.ranker, learner.catalog
    assert ranker.behaviour is not None
    sequences = sequences_of(events, catalog)
    if not len(windows_of(sequences, config.steps)):
        return

    def tell(moment: Moment) -> None:
        done = (moment.epoch - 1) * moment.total + moment.done
        progress(done, config.epochs * moment.total)

    text_IE = ranker.tower.text_IE()
    pretrain(
        ranker.behaviour,
        ranker.residuals,
        text_IE if ranker.tower.has_text else None,
        sequences,
        config,
        item_ids=[catalog.item(row).item_id for row in range(len(catalog))],
        progress=tell,
    )
    ranker.tower.stale()
    if ranker.newcomers is not None and ranker.tower.has_text:
        ranker.newcomers.trained = train_meta(catalog.vectors, sequences, learner.config.meta)
