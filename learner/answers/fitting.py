"""Fitting the judge to questions with known answers.

Legend: `N` questions, `S` sentences of a text, `F` and `G` features.

The sentence is learnt by the likelihood of the right ones among all of a text's (a conditional
logit: McFadden 1974), the text by a logistic regression on pairs of a question with its own text
and with others'. Both losses are convex; L-BFGS finds their minima in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from learner.answers.features import Floats, sentence_features, text_features
from learner.answers.judge import Weights
from learner.answers.likeness import Likeness


class Beside(NamedTuple):
    """A question beside a text.

    Attributes
    ----------
    right
        The places of sentences that answer it; none where the text doesn't.
    """

    question: str
    sentences: Sequence[str]
    like: Likeness
    right: Collection[int]


def fit(
    pairs: Sequence[Beside],
    rarity: Callable[[str], float],
    ridge: float = 1e-3,
    steps: int = 200,
) -> Weights:
    """Fit both models, in so many steps at most; needs questions with and without an answer."""
    of = [sentence_features(p.question, p.sentences, p.like, rarity) for p in pairs]
    answered = [n for n, pair in enumerate(pairs) if pair.right]
    sentence_F = fit_sentences(
        [of[n] for n in answered], [pairs[n].right for n in answered], ridge, steps
    )
    text_NG = np.array(
        [
            text_features(
                p.question, p.sentences, f_SF, f_SF @ sentence_F, like=p.like, rarity=rarity
            )
            for p, f_SF in zip(pairs, of, strict=True)
        ]
    )
    text_G, bias = fit_texts(text_NG, np.array([bool(p.right) for p in pairs]), ridge, steps)
    return Weights(sentence_F, text_G, bias)


def fit_sentences(
    features: Sequence[Floats],
    right: Sequence[Collection[int]],
    ridge: float = 1e-3,
    steps: int = 200,
) -> Floats:
    """Weights by which the right sentences are likeliest among their text's, (F,)."""
    longest = max(len(f_SF) for f_SF in features)
    x_NSF = np.zeros((len(features), longest, features[0].shape[1]))
    off_NS = np.full((len(features), longest), -1e9)
    right_NS = np.full((len(features), longest), -1e9)
    for n, (f_SF, places) in enumerate(zip(features, right, strict=True)):
        x_NSF[n, : len(f_SF)] = f_SF
        off_NS[n, : len(f_SF)] = 0.0
        right_NS[n, list(places)] = 0.0
    scale_F = x_NSF[off_NS == 0].std(axis=0) + 1e-9
    x = torch.from_numpy(x_NSF / scale_F)
    off, among = torch.from_numpy(off_NS), torch.from_numpy(right_NS)
    w_F = torch.zeros(x.shape[2], dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        score_NS = x @ w_F
        gain_N = (score_NS + among).logsumexp(1) - (score_NS + off).logsumexp(1)
        return ridge * (w_F**2).sum() - gain_N.mean()

    _minimise([w_F], loss, steps)
    weight_F: Floats = w_F.detach().numpy() / scale_F
    return weight_F


def fit_texts(
    x_NG: Floats, answers_N: NDArray[np.bool_], ridge: float = 1e-3, steps: int = 200
) -> tuple[Floats, float]:
    """Weights and the constant of the logistic regression."""
    mean_G, scale_G = x_NG.mean(axis=0), x_NG.std(axis=0) + 1e-9
    x = torch.from_numpy((x_NG - mean_G) / scale_G)
    y = torch.from_numpy(answers_N.astype(np.float64))
    w_G = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        logit_N = x @ w_G + b
        fault = torch.nn.functional.binary_cross_entropy_with_logits(logit_N, y)
        return fault + ridge * (w_G**2).sum()

    _minimise([w_G, b], loss, steps)
    weight_G: Floats = w_G.detach().numpy() / scale_G
    return weight_G, float(b.detach()) - float(mean_G @ weight_G)


def _minimise(parameters: list[torch.Tensor], loss: Callable[[], torch.Tensor], steps: int) -> None:
    optim = torch.optim.LBFGS(parameters, max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optim.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optim.step(closure)  # type: ignore[no-untyped-call]
