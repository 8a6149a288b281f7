"""Item vectors: text from the catalogue, plus what was learnt of each item.

Legend: `I` catalogue rows, `U` distinct rows, `D` width of the transformer, `E` width of text.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.catalog import Catalog
from learner.behaviour import Behaviour
from learner.retrieval import ShortTexts, tops

SHORT_FROM = 20_000
"""From so many items on, the nearest texts are found by their short form (`learner.retrieval`)."""

IDLE_MS = 90 * 86_400_000
"""An item without events for this long, in event time, gives its residual back."""


class Residuals:
    """A learnt vector per admitted item, trained by row-wise Adagrad.

    An item is admitted after a few events and expires when idle, or when others need its place, so
    that what is learnt and saved is bounded by the items that are alive.
    """

    def __init__(self, width: int) -> None:
        self.vectors_ID = torch.zeros(0, width)
        self.squares_I = torch.zeros(0)
        self.admitted_I: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def reserve(self, items: int) -> None:
        """Make room for this many rows."""
        have = len(self.admitted_I)
        if items > have:
            grow = max(items, 2 * have) - have
            self.vectors_ID = torch.cat(
                [self.vectors_ID, torch.zeros(grow, self.vectors_ID.shape[1])]
            )
            self.squares_I = torch.cat([self.squares_I, torch.zeros(grow)])
            self.admitted_I = np.pad(self.admitted_I, (0, grow))

    def admit(
        self, rows_N: NDArray[np.int64], first_ND: Tensor, squares_N: Tensor | float = 0.0
    ) -> None:
        """Give rows their first vectors, and the squared gradients behind these, if any."""
        self.admitted_I[rows_N] = True
        self.vectors_ID[torch.from_numpy(rows_N)] = first_ND
        self.squares_I[torch.from_numpy(rows_N)] = torch.as_tensor(squares_N)

    def expire(self, rows_N: NDArray[np.int64]) -> None:
        """Forget what was learnt of rows."""
        self.admitted_I[rows_N] = False
        self.vectors_ID[torch.from_numpy(rows_N)] = 0.0

    def trim(self, most: int, last_ms_I: NDArray[np.int64]) -> None:
        """Where more than `most` are admitted, forget the longest idle ones.

        >>> residuals = Residuals(width=1)
        >>> residuals.reserve(3)
        >>> residuals.admit(np.arange(3), torch.ones(3, 1))
        >>> residuals.trim(2, last_ms_I=np.array([30, 10, 20]))
        >>> residuals.admitted_I.tolist()
        [True, False, True]
        """
        excess = int(self.admitted_I.sum()) - most
        if excess > 0:
            admitted_N = np.flatnonzero(self.admitted_I)
            oldest_N = np.argpartition(last_ms_I[admitted_N], excess - 1)[:excess]
            self.expire(admitted_N[oldest_N])

    @torch.no_grad()
    def update(self, rows_U: NDArray[np.int32], gradient_UD: Tensor, rate: float) -> None:
        """One Adagrad step on the admitted ones of these rows (Duchi et al. 2011, one scale a row).

        The rows are distinct.
        """
        admitted_U = self.admitted_I[rows_U]
        at = torch.from_numpy(rows_U[admitted_U].astype(np.int64))
        gradient = gradient_UD[torch.from_numpy(admitted_U)]
        self.squares_I[at] += gradient.square().mean(dim=1)
        self.vectors_ID[at] -= rate * gradient / (self.squares_I[at].sqrt() + 1e-6)[:, None]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a snapshot keeps: admitted rows only."""
        rows_N = np.flatnonzero(self.admitted_I).astype(np.int32)
        at = torch.from_numpy(rows_N.astype(np.int64))
        return {
            "rows_N": rows_N,
            "vectors_ND": self.vectors_ID[at].numpy(),
            "squares_N": self.squares_I[at].numpy(),
        }

    def restore(
        self,
        state: Mapping[str, NDArray[np.generic]],
        row_of_I: NDArray[np.int64],
        items: int,
    ) -> None:
        """Take a snapshot; its item `i` has the row `row_of_I[i]` here, negative if it is gone."""
        Residuals.__init__(self, self.vectors_ID.shape[1])
        self.reserve(items)
        rows_N = row_of_I[state["rows_N"]]
        kept_N = rows_N >= 0
        self.admit(rows_N[kept_N], torch.from_numpy(np.array(state["vectors_ND"])[kept_N]))
        self.squares_I[torch.from_numpy(rows_N[kept_N])] = torch.from_numpy(
            np.array(state["squares_N"])[kept_N]
        )


class ItemTower:
    """The towers of all items, made again only when the catalogue or the weights have changed."""

    def __init__(self, catalog: Catalog, device: torch.device) -> None:
        self.catalog = catalog
        self.device = device
        self._text_IE = torch.zeros(0, catalog.width)
        self._text_version = -1
        self.has_text = False
        self._towers_ID: Tensor | None = None
        self._towers_version = -1
        self._short = ShortTexts()
        self._short_version = -1
        self._welcomed = 0
        self._columns_DI: Tensor | None = None
        """The towers, a column for each: a single user's products take a third of the time then."""
        self.lasting = False
        """Whether towers last, so that laying them out anew pays."""

    def text_IE(self) -> Tensor:
        """The catalogue's text vectors on the device."""
        if self._text_version != self.catalog.version:
            changed_N = self.catalog.changed_since(self._text_version)
            self._text_version = self.catalog.version
            vectors = self.catalog.vectors
            self._text_IE = torch.from_numpy(vectors).to(self.device)
            if not self.has_text and bool(vectors[changed_N].any()):
                self.has_text = True
                self._towers_ID = None
        return self._text_IE

    def nearest(self, pooled_BE: Tensor, count: int, shut_N: Tensor | None = None) -> Tensor:
        """Rows whose texts are nearest to each text, but for those left out: (B, C)."""
        text_IE = self.text_IE()
        if len(text_IE) < SHORT_FROM:
            return tops(pooled_BE @ text_IE.T, count, shut_N)
        if self._short_version != self._text_version:
            self._short.follow(text_IE, self.catalog.changed_since(self._short_version))
            self._short_version = self._text_version
        return self._short.nearest(pooled_BE, text_IE, count, shut_N)

    def stale(self) -> None:
        """Say that the weights have changed."""
        self._towers_ID = None

    def products(self, users_BD: Tensor) -> Tensor:
        """Each user's product with every tower of the last `towers_ID`, (B, I)."""
        towers_ID, items = self._towers_ID, len(self._text_IE)
        assert towers_ID is not None
        if not self.lasting:
            return users_BD @ towers_ID[:items].T
        if self._columns_DI is None:
            self._columns_DI = towers_ID.T.contiguous()
        return users_BD @ self._columns_DI[:, :items]

    @torch.no_grad()
    def towers_ID(self, model: Behaviour, residuals: Residuals) -> Tensor:
        """Every item's tower."""
        text_IE = self.text_IE()
        items = len(text_IE)
        if self._towers_ID is None or self._towers_version != self._text_version:
            residuals.reserve(items)
            self.welcome(model, residuals)
            residual_ID = residuals.vectors_ID[:items].to(self.device)
            if self._towers_ID is None or items > len(self._towers_ID):
                self._columns_DI = None
            if self._towers_ID is None or not self.has_text:
                self._towers_ID = (
                    model.towers(text_IE, residual_ID) if self.has_text else residual_ID.clone()
                )
            else:
                self._remake(model, text_IE, residual_ID)
            self._towers_version = self._text_version
        return self._towers_ID[:items]

    def _remake(self, model: Behaviour, text_IE: Tensor, residual_ID: Tensor) -> None:
        """Make the towers of new and changed rows alone: an item may come at any moment."""
        towers_ID, items = self._towers_ID, len(text_IE)
        assert towers_ID is not None
        if items > len(towers_ID):
            grown = torch.zeros(items + items // 4, towers_ID.shape[1], device=self.device)
            grown[: len(towers_ID)] = towers_ID
            self._towers_ID = towers_ID = grown
        changed_N = self.catalog.changed_since(self._towers_version)
        at = torch.from_numpy(changed_N).to(self.device)
        towers_ID[at] = model.towers(text_IE[at], residual_ID[at])
        if self._columns_DI is not None:
            self._columns_DI[:, at] = towers_ID[at].T

    def welcome(self, model: Behaviour, residuals: Residuals) -> None:
        """Admit at once what a pretrained base knows of the rows that are new here."""
        items = len(self.catalog)
        residuals.reserve(items)
        start, self._welcomed = self._welcomed, items
        if model.heads is None or start >= items:
            return
        rows = [row for row in range(start, items) if not residuals.admitted_I[row]]
        at, known = model.heads.known([self.catalog.item(row).item_id for row in rows])
        rows_N = np.array([rows[n] for n in at], np.int64)
        residuals.admit(rows_N, model.heads.vectors_ND[known], model.heads.squares_N[known])
