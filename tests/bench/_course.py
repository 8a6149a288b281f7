"""A model on its way through a log in blocks: it meets new items, learns, and ranks.

Legend: `N` examples, `B` of a batch, `I` items, `D` width.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import Catalog
from learner.behaviour import Steps
from learner.behaviour_step import BehaviourTrainer
from learner.config import LearnerConfig
from learner.measures import MISS
from learner.negatives import SHARE_FLOOR
from learner.pretraining import pretrain
from learner.pretraining_config import Moment, PretrainConfig
from learner.ranker import Ranker
from learner.update_rules.distillation import Distillation
from stream.events import ItemVector
from tests.bench._blocks import Blocks, Examples, Part
from tests.bench._exemplars import Exemplars

HELD_OUT = 1_000
"""Users of block 0 whose last event is held out of pretraining."""


class Course:
    """A model on its way through the blocks."""

    def __init__(self, blocks: Blocks, config: LearnerConfig) -> None:
        self.blocks = blocks
        self.ranker = Ranker(Catalog(width=2), config)
        self.generator = np.random.default_rng(config.seed)
        self.trainer = BehaviourTrainer(self.ranker)
        self.kept = Exemplars(0, herded=False)

    def take_up(self, config: LearnerConfig) -> None:
        """Go on with other settings of learning, and with fresh optimisers."""
        self.ranker.config = config
        self.trainer = BehaviourTrainer(self.ranker)

    def pretrain(self, config: PretrainConfig, progress: Callable[[Moment], None]) -> None:
        """Learn block 0 with all weights, but for the last events of some, which say when to stop.

        Then one pass without a step measures how much of each item the updates' own gradients
        have seen, in place of pretraining's estimate: Adagrad starts from there.
        """
        self.meet(0, "all")
        ranker, behaviour = self.ranker, self.ranker.behaviour
        assert behaviour is not None
        sequences = self.blocks.sequences(HELD_OUT, self.generator)
        ids = [ranker.catalog.item(row).item_id for row in range(len(ranker.catalog))]
        share = HELD_OUT / len(sequences.rows_N)
        config = msgspec.structs.replace(config, valid_share=share)
        pretrain(
            behaviour,
            ranker.residuals,
            None,
            sequences,
            config,
            item_ids=ids,
            progress=progress,
        )
        ranker.tower.stale()
        ranker.residuals.squares_I.zero_()
        self.learn(self.examples(0, "all"), 1, ranker.config.train.batch, factor=0.0)

    def examples(self, block: int, part: Part) -> Examples:
        return self.blocks.examples(block, self.ranker.config.model.steps, part)

    def keep(self, examples: Examples) -> None:
        """Choose what is replayed from now on."""
        herded = self.kept.size and self.kept.herded
        users = self.users(self.kept.pool(examples)).numpy() if herded else None
        self.kept.add(examples, users, self.generator)

    def update(self, block: int, part: Part, epochs: int) -> None:
        """Learn a block as the rule says."""
        before = len(self.ranker.catalog)
        self.meet(block, part)
        examples = self.examples(block, part)
        self.trainer.begin_block()
        rule = self.trainer.rule
        if isinstance(rule, Distillation):
            new = len(self.ranker.catalog) - before
            rule.weigh(before, new, len(self.kept), len(examples))
        self.learn(examples, epochs, self.ranker.config.train.batch)
        self.keep(examples)

    def meet(self, block: int, part: Part) -> None:
        """Learn what a block's items are called, and give those that are learnt a vector."""
        ranker, behaviour = self.ranker, self.ranker.behaviour
        assert behaviour is not None
        have, known = len(ranker.catalog), self.blocks.known[block]
        ranker.catalog.upsert([_item(row) for row in range(have, known)])
        ranker.experts.reserve(known)
        ranker.residuals.reserve(known)
        rows = [r[a:b] for r, a, b in self.blocks.events(block, part)]
        taken = np.concatenate(rows)
        ranker.experts.popularity.add(taken, np.zeros(len(taken), np.int64), known)
        new = np.unique(taken[~ranker.residuals.admitted_I[taken]]).astype(np.int64)
        ids = [ranker.catalog.item(int(row)).item_id for row in new]
        ranker.residuals.admit(new, behaviour.first_residuals(ids))

    def learn(self, examples: Examples, epochs: int, batch: int, factor: float = 1.0) -> None:
        """Several passes over the examples, and as many steps on what is kept, if anything is."""
        for _ in range(epochs):
            order = self.generator.permutation(len(examples))
            for start in range(0, len(order), batch):
                some = examples.take(order[start : start + batch])
                self.trainer.step(some.past, some.target_N, factor, self.generator)
                if len(self.kept):
                    old = self.kept.sample(batch, self.generator)
                    self.trainer.step(old.past, old.target_N, factor, self.generator, replayed=True)
        self.ranker.trained = True

    @torch.no_grad()
    def users(self, examples: Examples) -> torch.Tensor:
        """The users as vectors."""
        ranker, behaviour = self.ranker, self.ranker.behaviour
        assert behaviour is not None
        towers_ID = ranker.tower.towers_ID(behaviour, ranker.residuals)
        found = []
        for start in range(0, len(examples), 512):
            past = examples.past.take(slice(start, start + 512))
            steps = Steps(past, ranker.config.model.transformer_steps, ranker.device)
            steps.item_BT = torch.from_numpy(np.maximum(steps.rows_BT, 0).astype(np.int64))
            found.append(behaviour.users(towers_ID, steps))
        return torch.cat(found)

    def rank(self, examples: Examples) -> NDArray[np.float64]:
        """The place of each target; in the middle of those with the same score."""
        ranker = self.ranker
        assert ranker.behaviour is not None
        examples = examples.without(len(ranker.catalog))
        learnt_I = torch.from_numpy(~ranker.residuals.admitted_I[: len(ranker.catalog)])
        towers_ID = ranker.tower.towers_ID(ranker.behaviour, ranker.residuals)
        counts_I = ranker.experts.popularity.counts_HI[-1, : len(ranker.catalog)]
        offset_I = torch.from_numpy(np.log(counts_I / counts_I.sum() + SHARE_FLOOR)).float()
        users_ND = self.users(examples)
        rank_N = np.full(len(examples), MISS)
        ok = examples.target_N < len(ranker.catalog)
        ok[ok] = ranker.residuals.admitted_I[examples.target_N[ok]]
        for at in np.array_split(np.flatnonzero(ok), max(1, ok.sum() // 256)):
            score_BI = users_ND[torch.from_numpy(at)] @ towers_ID.T + offset_I
            own_B = torch.from_numpy(examples.target_N[at].astype(np.int64))
            own_score_B1 = score_BI.gather(1, own_B[:, None])
            score_BI.masked_fill_(learnt_I, -torch.inf)
            had_BT = examples.past.rows_BT[at]
            line, step = np.nonzero(had_BT >= 0)
            score_BI[
                torch.from_numpy(line), torch.from_numpy(had_BT[line, step]).long()
            ] = -torch.inf
            score_BI.scatter_(1, own_B[:, None], own_score_B1)
            above_B = (score_BI > own_score_B1).sum(dim=1)
            equal_B = (score_BI == own_score_B1).sum(dim=1) - 1
            rank_N[at] = (1 + above_B + equal_B / 2).numpy()
        return rank_N


def _item(row: int) -> ItemVector:
    return ItemVector(item_id=str(row), vector=b"", encoder="", text_hash="", first_seen_ms=0)
