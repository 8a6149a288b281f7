"""A teacher: a pretrained base that a smaller model is made to agree with.

Legend: `I` catalogue rows, `N` events, `P` positions, `D` its width, `S` the student's.

It is asked about each event of a log once, before the student learns: `learner.soft_lists`. And the
student's items may start as the teacher's, seen along the directions in which those that are taken
differ most (principal components): what takes most events to learn is not learnt again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from learner.base import ABOUT
from learner.behaviour import Behaviour
from learner.config import ModelConfig
from learner.pretraining_config import DistillConfig, PretrainConfig
from learner.pretraining_loss import Popularity
from learner.pretraining_split import split
from learner.pretraining_student import ITEMS, Student, cut, offset_of
from learner.ranking_metrics import gains
from learner.sequences import Sequences, Windows
from learner.soft_lists import SoftLists
from learner.tower import Residuals
from stream.errors import SettingsError

ASKED = 64
"""Windows that are asked about at once: their scores of the whole catalogue are in memory."""


class Teacher:
    """A base that is asked, and not taught.

    Parameters
    ----------
    folder
        The base.
    text_IE
        Text vectors by row, `None` without any text.
    item_ids
        Every row's id.
    device
        Where it answers.
    asked
        Told how many windows of how many have been answered.

    Raises
    ------
    SettingsError
        If the folder is no base of ours, or it has read texts and there are none.
    """

    def __init__(
        self,
        folder: Path,
        text_IE: Tensor | None,
        item_ids: Sequence[str],
        device: torch.device,
        asked: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.asked = asked
        width = 1 if text_IE is None else text_IE.shape[1]
        self.model = Behaviour(ModelConfig(base=str(folder)), width, seed=0).to(device)
        if self.model.heads is None:
            message = f"{folder} has no {ABOUT}: a teacher is a folder of `tidemill pretrain`"
            raise SettingsError(message)
        self.about = self.model.heads.about
        if self.about.encoder and text_IE is None:
            message = f"{folder} was trained on texts ({self.about.encoder}); the log has none"
            raise SettingsError(message)
        self.popularity_offset = bool(
            self.about.figures.get("config", {}).get("popularity_offset", True)
        )
        known, rows = self.model.heads.known(item_ids)
        self.known_N = np.array(known, np.int64)
        residuals = Residuals(self.model.width)
        residuals.reserve(len(item_ids))
        residuals.admit(self.known_N, self.model.heads.vectors_ND[rows])
        every_I = np.ones(len(item_ids), np.bool_)
        self.reads = Student(self.model, residuals, text_IE, every_I, item_ids)

    @property
    def sha256(self) -> str:
        """Of its weights: a student that goes on must have the teacher that it began with."""
        return "".join(sorted(self.about.sha256.values()))

    def parameters(self) -> int:
        """Numbers in its transformer and output head; items, texts and places aside."""
        return body_parameters(self.model)

    @torch.no_grad()
    def lists(
        self,
        sequences: Sequences,
        windows: Windows,
        popularity: Popularity,
        config: DistillConfig,
    ) -> SoftLists:
        """What it says of each event that is a target in some window."""
        device, items = self.reads.device, popularity.items
        lists = SoftLists.empty(len(sequences.rows_N), min(config.listed, items - 1))
        towers_ID = self.reads.towers(np.arange(items))
        offset_I = offset_of(popularity, np.arange(items), used=self.popularity_offset).to(device)
        windows = windows.take(np.argsort(windows.end_W - windows.begin_W, kind="stable"))
        with self.reads.learning(0.0):
            for i in range(0, len(windows), ASKED):
                part = windows.take(np.arange(i, min(i + ASKED, len(windows))))
                read = cut(sequences, part, device)
                read.steps.index(np.arange(items, dtype=np.int32), device)
                users_PD = self.reads.users(towers_ID, read, 0.0)[
                    torch.from_numpy(read.real_BT).to(device)
                ]
                lists.put(
                    read.next_BT[read.real_BT],
                    users_PD @ towers_ID.T + offset_I,
                    config.temperature,
                )
                self.asked(i + len(part), len(windows))
        return lists

    def ndcg10(self, sequences: Sequences, config: PretrainConfig) -> float:
        """What it reaches itself on the events that a pretraining holds out."""
        items = len(self.reads.row_of_I)
        held_out = split(sequences, items, config)
        offset_I = offset_of(held_out.popularity, np.arange(items), used=self.popularity_offset)
        rank_N = self.reads.rank(
            sequences,
            held_out.valid,
            offset_I.to(self.reads.device),
            filter_seen=config.filter_seen,
        )
        return float(gains(rank_N).mean())

    @torch.no_grad()
    def begin(self, model: Behaviour, residuals: Residuals, popularity: Popularity) -> None:
        """Let a student's items start as this one's, in the student's fewer dimensions."""
        towers_ID = self.reads.towers(np.arange(popularity.items)).cpu().double()
        share_I1 = torch.from_numpy(popularity.share_I)[:, None]
        _, directions_DD = torch.linalg.eigh(towers_ID.T @ (share_I1 * towers_ID))
        # `eigh` gives the largest last. A wider student's further dimensions start at zero.
        along_DS = torch.zeros(towers_ID.shape[1], model.width, dtype=torch.float64)
        kept = min(along_DS.shape)
        along_DS[:, :kept] = directions_DD.flip(1)[:, :kept]
        along_DS = along_DS.float()
        if self.reads.text_IE is not None:
            model.project_DE.copy_(along_DS.T.to(model.project_DE.device) @ self.model.project_DE)
        vectors_ND = self.reads.parameters[ITEMS].detach()[torch.from_numpy(self.known_N)].cpu()
        residuals.reserve(popularity.items)
        residuals.admit(self.known_N, vectors_ND @ along_DS)


def body_parameters(model: Behaviour) -> int:
    """Numbers in a model's transformer and output head, without adapters: embeddings aside."""
    body = model.body.get_base_model()
    whole = sum(p.numel() for name, p in body.named_parameters() if "lora_" not in name)
    unread = sum(p.numel() for name, p in body.named_parameters() if "embed_tokens" in name)
    return int(whole - unread + model.output_DD.numel())
