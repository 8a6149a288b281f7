"""What the encoder's adapters learn: sentiment by cross-entropy, rating by squared error.

Legend: `N` reviews, `S` tokens, `E` width, `4` outputs: three logits, a rating.

A task is an adapter, a head on the mean over tokens, and Adam with weight decay (L2). A micro-batch
holds new reviews and replayed ones, rare sentiments as often as common ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.encoder import by_length
from learner.optim_torch import restore, saved
from learner.reviews.config import ReviewConfig
from learner.reviews.shared import SharedEncoder, Tokens

Loss = Callable[[Tensor, Tensor], Tensor]


def squared(out_N1: Tensor, wanted_N: Tensor) -> Tensor:
    """Mean squared error, of those whose rating is known."""
    known_N = ~wanted_N.isnan()
    return (out_N1[:, 0] - wanted_N)[known_N].square().sum() / max(1, int(known_N.sum()))


class Task:
    """One adapter with its head."""

    def __init__(
        self, name: str, shared: SharedEncoder, config: ReviewConfig, outputs: int, loss: Loss
    ) -> None:
        self.shared, self.loss, self.steps = shared, loss, 0
        self.body = shared.add(name)
        self.head = nn.Linear(shared.width, outputs).to(shared.device)
        self.drop = nn.Dropout(config.dropout)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.adaptive = config.adapter == "adalora"
        self.learnt = {f"body.{k}": p for k, p in self.body.named_parameters() if p.requires_grad}
        adapter = list(self.learnt.values())
        self.learnt |= {f"head.{k}": p for k, p in self.head.named_parameters()}
        groups = [
            {"params": adapter, "lr": config.rate},
            {"params": list(self.head.parameters()), "lr": config.head_rate},
        ]
        self.adam = torch.optim.AdamW(groups, weight_decay=config.l2)

    @torch.no_grad()
    def read(self, tokens: Sequence[Tokens]) -> NDArray[np.float64]:
        """Outputs before learning, (N, outputs); texts of similar length go together."""
        self.body.eval()
        out = np.zeros((len(tokens), self.head.out_features))
        for part in by_length([len(one) for one in tokens], self.shared.batch):
            vector_NE = self.body(*self.shared.together([tokens[n] for n in part]))
            out[part] = self.head(vector_NE).cpu().numpy()
        return out

    def learn(self, tokens: Sequence[Tokens], wanted_N: Tensor) -> None:
        """One step; what dropout leaves out follows from the seed and the number of the step."""
        self.body.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.shared.seed + self.steps)
            out = self.head(self.drop(self.body(*self.shared.together(tokens))))
        self.adam.zero_grad(set_to_none=True)
        self.loss(out, wanted_N.to(self.shared.device)).backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        self.steps += 1
        if self.adaptive:
            self.body.base_model.update_and_allocate(self.steps)  # type: ignore[operator, union-attr]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Weights, moments, and the number of steps."""
        return saved(self.learnt, self.adam) | {"steps": np.array([self.steps])}

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        restore(self.learnt, self.adam, state)
        self.steps = int(state["steps"][0])


class AdapterReader:
    """Sentiment and rating by adapters over one encoder."""

    def __init__(self, shared: SharedEncoder, config: ReviewConfig) -> None:
        self.tasks = {
            "sentiment": Task("sentiment", shared, config, 3, nn.functional.cross_entropy),
            "rating": Task("rating", shared, config, 1, squared),
        }

    def read(self, tokens: Sequence[Tokens]) -> NDArray[np.float64]:
        """Three logits and a rating (from the mean on) per text, (N, 4)."""
        return np.concatenate([task.read(tokens) for task in self.tasks.values()], axis=1)

    def learn(
        self,
        tokens: Sequence[Tokens],
        sentiment_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
    ) -> None:
        """One step of each task; ratings are from the mean on, NaN where there is none."""
        self.tasks["sentiment"].learn(tokens, torch.from_numpy(sentiment_N))
        self.tasks["rating"].learn(tokens, torch.from_numpy(rating_N.astype(np.float32)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        parts = {f"{name}/{k}": v for name, t in self.tasks.items() for k, v in t.state().items()}
        return dict(parts)

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint."""
        for name, task in self.tasks.items():
            start = f"{name}/"
            task.load({k.removeprefix(start): v for k, v in state.items() if k.startswith(start)})
