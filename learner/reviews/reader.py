"""The review reader: several readers, each weighed by what it read before it learnt.

Legend: `N` reviews, `F` outputs of all readers, `3` sentiments.

Texts are read by hashed n-grams (`linear`), by the frozen encoder's vectors (`ridge`), by the
encoder's adapters (`tasks`), and ratings by what users and items usually get (`biases`); `weighing`
puts them together. What has no rating can be learnt by a guess of which the reader is sure (Lee,
"Pseudo-label", 2013).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner.config import EncoderConfig
from learner.device import Device, pick_device
from learner.reviews.biases import Biases
from learner.reviews.config import ReviewConfig
from learner.reviews.deciding import best_factors
from learner.reviews.linear import NgramReader, softmax
from learner.reviews.memory import Kept, Memory, packed_reviews, parted, together
from learner.reviews.ngrams import Bags, cleaned, hashed
from learner.reviews.readings import Readings, ReviewReport, sentiments
from learner.reviews.ridge import VectorReader
from learner.reviews.shared import SharedEncoder, Tokens
from learner.reviews.tasks import AdapterReader
from learner.reviews.weighing import ANCHOR, Weighing

LONGEST = 4_000
"""Characters that are read of a review."""

HOLD = 1.0
"""Ridge of the encoder's vectors."""

MEMORY = 50_000.0
"""Reviews after which what was learnt of vectors has faded."""

_USUAL = 4
"""The column of what is usual for user and item."""

RARE_AT = 10_000.0
"""Reviews after which the counts of sentiments have faded."""


_Part = NgramReader | Biases | Weighing | Memory | VectorReader | AdapterReader


def _centred(said_N4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits say the same from any zero: theirs becomes their mean."""
    logit_N3 = said_N4[:, :3]
    centred_N3 = logit_N3 - logit_N3.mean(axis=1, keepdims=True)
    return np.concatenate([centred_N3, said_N4[:, 3:]], axis=1)


class _Pass(NamedTuple):
    """What a text passes through before it is learnt."""

    texts: tuple[str, ...]
    steps: int
    clean: list[str]
    bags: Bags
    tokens: list[Tokens] | None
    vector_N2E: NDArray[np.float64] | None
    said_NF: NDArray[np.float64]


class _Pretrained(NamedTuple):
    shared: SharedEncoder
    vectors: VectorReader
    adapters: AdapterReader | None


class ReviewReader:
    """Reads reviews, then learns them. Two with one seed that learn the same are alike.

    Parameters
    ----------
    config
        What reads, and how it learns.
    encoder
        The frozen encoder; it is loaded at the first text.
    device
        Where it runs.
    seed
        Everything random follows from it.

    Examples
    --------
    >>> reader = ReviewReader(ReviewConfig(encoder=False, ngram_bits=12), EncoderConfig())
    >>> texts, stars = ["质量很好", "质量很差"] * 16, [5.0, 1.0] * 16
    >>> for _ in range(8):
    ...     report = reader.learn(texts, stars, ["ada"] * 32, ["pot"] * 32)
    >>> readings = reader.read(["很好", "很差", ""])
    >>> readings.sentiment_N3.argmax(axis=1)[:2].tolist()
    [2, 0]
    >>> reader.read(texts[:2]).rating_N.round().tolist()
    [5.0, 1.0]
    """

    def __init__(
        self,
        config: ReviewConfig,
        encoder: EncoderConfig,
        device: Device = "auto",
        seed: int = 0,
    ) -> None:
        self.config, self.encoder, self.seed = config, encoder, seed
        self.device = pick_device(device)
        self.ngrams = NgramReader(config.ngram_bits, config.ngram_rate, config.ngram_l2)
        self.biases = Biases(shrink=3.0, most=1_000_000)
        self.memory = Memory(config.replay_size, config.replay_tokens)
        self.pretrained: _Pretrained | None = None
        self._loading = threading.Lock()
        speaks = [3, 1, 1]  # n-grams' sentiment and rating, what is usual
        self._pretrains = config.encoder and bool(encoder.model)
        speaks += [3, 1] * (self._pretrains * (1 + config.adapters))
        self._rates_F = np.repeat([outputs == 1 for outputs in speaks], speaks)
        self.weighing = Weighing(speaks, config.weighed, config.balance)
        self.factor_3 = np.zeros(3)
        self.count_3 = np.ones(3)
        self.learnt = 0
        self.steps = 0
        self._pass: _Pass | None = None

    def read(
        self,
        texts: Sequence[str],
        users: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
    ) -> Readings:
        """What reviews say, by what was learnt so far; with users and items also what is usual."""
        said_NF = self._read(texts).said_NF
        if users is not None and items is not None:
            said_NF = self._with_usual(said_NF, users, items)
        return self._readings(said_NF)

    def _with_usual(
        self, said_NF: NDArray[np.float64], users: Sequence[str], items: Sequence[str]
    ) -> NDArray[np.float64]:
        said_NF = said_NF.copy()
        said_NF[:, _USUAL] += self.biases.read(users, items)
        return said_NF

    def _readings(self, said_NF: NDArray[np.float64]) -> Readings:
        logit_N3, rating_N = self.weighing.read(said_NF)
        decided_N3 = logit_N3 + self.factor_3
        sorted_N3 = np.sort(softmax(decided_N3), axis=1)
        return Readings(
            sentiment_N3=softmax(logit_N3),
            rating_N=np.clip(rating_N, 1.0, 5.0),
            doubt_N=1.0 - (sorted_N3[:, 2] - sorted_N3[:, 1]),
            label_N=decided_N3.argmax(axis=1),
        )

    def _read(self, texts: Sequence[str]) -> _Pass:
        key = tuple(texts)
        if self._pass is not None and (self._pass.texts, self._pass.steps) == (key, self.steps):
            return self._pass
        clean = [cleaned(text, LONGEST) for text in texts]
        bags = hashed(clean, self.config.ngram_bits, self.config.ngram_longest)
        said = [_centred(self.ngrams.read(bags)), np.zeros((len(texts), 1))]
        tokens, vector_N2E = None, None
        if self._pretrains:
            shared, vectors, adapters = self._loaded()
            tokens, vector_N2E = shared.lower(clean)
            said.append(_centred(vectors.read(vector_N2E)))
            if adapters is not None:
                said.append(_centred(adapters.read(tokens)))
        said_NF = np.concatenate(said, axis=1)
        said_NF[:, self._rates_F] += self.biases.mean - ANCHOR
        self._pass = _Pass(key, self.steps, clean, bags, tokens, vector_N2E, said_NF)
        return self._pass

    def prepare(self) -> None:
        """Load the encoder, so that the first review need not wait; from any thread."""
        if self._pretrains:
            self._loaded()

    def _loaded(self) -> _Pretrained:
        with self._loading:
            if self.pretrained is None:
                shared = SharedEncoder(self.encoder, self.config, self.device, self.seed)
                vectors = VectorReader(2 * shared.width, HOLD, MEMORY)
                adapters = AdapterReader(shared, self.config) if self.config.adapters else None
                self.pretrained = _Pretrained(shared, vectors, adapters)
            return self.pretrained

    def learn(
        self,
        texts: Sequence[str],
        ratings: Sequence[float | None],
        users: Sequence[str],
        items: Sequence[str],
    ) -> ReviewReport:
        """Learn a micro-batch; what has no rating may be learnt by a confident guess."""
        if not len(texts):
            return ReviewReport(0, 0, 0.0, 0.0)
        seen = self._read(texts)
        said_NF = self._with_usual(seen.said_NF, users, items)
        before = self._readings(said_NF)
        rating_N = np.array([np.nan if rating is None else rating for rating in ratings], float)
        rated_N = np.flatnonzero(~np.isnan(rating_N))
        truth_N = sentiments(rating_N)
        self.ngrams.count(seen.bags)
        if len(rated_N):
            if self.weighing.learn(said_NF[rated_N], truth_N[rated_N], rating_N[rated_N]):
                self.factor_3 = best_factors(*self.weighing.kept_logits())
            self.biases.learn(
                [users[int(n)] for n in rated_N],
                [items[int(n)] for n in rated_N],
                rating_N[rated_N],
            )
            self.count_3 *= np.exp(-len(rated_N) / RARE_AT)
            self.count_3 += np.bincount(truth_N[rated_N], minlength=3)
        guess_N = np.isnan(rating_N) & (before.sentiment_N3.max(axis=1) >= self.config.guess_above)
        truth_N[guess_N] = before.sentiment_N3.argmax(axis=1)[guess_N]
        taken_N = np.flatnonzero(~np.isnan(rating_N) | guess_N)
        self._learn(seen, taken_N, truth_N, rating_N, users)
        self.learnt += len(rated_N)
        self.steps += 1
        said_true_N = before.sentiment_N3[rated_N, truth_N[rated_N]]
        off_N = before.rating_N[rated_N] - rating_N[rated_N]
        return ReviewReport(
            rated=len(rated_N),
            guessed=int(guess_N.sum()),
            loss=float(-np.log(np.maximum(said_true_N, 1e-12)).mean()) if len(rated_N) else 0.0,
            squared_error=float((off_N**2).mean()) if len(rated_N) else 0.0,
        )

    def _learn(
        self,
        seen: _Pass,
        taken_N: NDArray[np.int64],
        truth_N: NDArray[np.int64],
        rating_N: NDArray[np.float64],
        users: Sequence[str],
    ) -> None:
        """Let every reader learn what has a truth, or passes for it."""
        chance = np.random.default_rng((self.seed, self.steps))
        bags = parted(seen.bags)
        tokens = seen.tokens if self.config.adapters else None
        new = [
            Kept(
                seen.clean[int(n)],
                users[int(n)],
                int(truth_N[n]),
                float(rating_N[n]),
                bags[int(n)],
                tokens[int(n)] if tokens is not None else None,
            )
            for n in taken_N
        ]
        self.memory.add(new)
        if new:
            self._learn_ngrams(new)
        for _ in range(self.config.replays if self.memory.newest else 0):
            self._learn_ngrams(self.memory.sample(2 * len(seen.texts), chance))
        if self.pretrained is None:
            return
        sure_N = taken_N[~np.isnan(rating_N[taken_N])]
        if seen.vector_N2E is not None:
            from_mean_N = rating_N[sure_N] - self.biases.mean
            self.pretrained.vectors.learn(seen.vector_N2E[sure_N], truth_N[sure_N], from_mean_N)
        rows = self.memory.balanced(self.config.rows, chance)
        if self.pretrained.adapters is not None and rows:
            self.pretrained.adapters.learn(
                [row.tokens for row in rows if row.tokens is not None],
                np.array([row.sentiment for row in rows]),
                np.array([row.rating for row in rows]) - self.biases.mean,
            )

    def _learn_ngrams(self, reviews: Sequence[Kept]) -> None:
        weight_3 = (self.count_3.sum() / self.count_3) ** self.config.balance
        weight_3 /= (weight_3 * self.count_3).sum() / self.count_3.sum()
        truth_N = np.array([one.sentiment for one in reviews])
        rating_N = np.array([one.rating for one in reviews]) - self.biases.mean
        self.ngrams.learn(together(reviews), truth_N, rating_N, weight_3[truth_N])

    def forget(self, user: str) -> None:
        """Drop a user's reviews and usual ratings; what they taught stays in the weights."""
        self.memory.forget(user)
        self.biases.forget(user)
        self._pass = None

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What a checkpoint keeps."""
        kept: dict[str, NDArray[np.generic]] = {
            "factor_3": self.factor_3.copy(),
            "count_3": self.count_3.copy(),
            "counts": np.array([self.learnt, self.steps]),
        }
        for name, part in self._parts().items():
            kept |= {f"{name}/{k}": np.array(v) for k, v in part.state().items()}
        return kept

    def load(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take a checkpoint, written with the same settings; tokens are read from texts again."""
        self.factor_3, self.count_3 = np.array(arrays["factor_3"]), np.array(arrays["count_3"])
        self.learnt, self.steps = (int(n) for n in arrays["counts"])
        self._pass = None
        if any(name.startswith("vectors/") for name in arrays):
            self._loaded()
        for name, part in self._parts().items():
            start = f"{name}/"
            of = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
            if isinstance(part, Memory):
                self._remember(of)
            else:
                part.load(of)

    def _remember(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        newest, *by_sentiment = packed_reviews(arrays)
        bits, longest = self.config.ngram_bits, self.config.ngram_longest
        bags = parted(hashed([text for text, *_ in newest], bits, longest))
        self.memory.newest.clear()
        self.memory.newest.extend(
            Kept(*one, bag, None) for one, bag in zip(newest, bags, strict=True)
        )
        for of, reviews in zip(self.memory.by_sentiment, by_sentiment, strict=True):
            of.clear()
            if reviews:
                tokens, _ = self._loaded().shared.lower([text for text, *_ in reviews])
                empty = np.zeros(0, np.int32), np.zeros(0, np.float32)
                of.extend(Kept(*r, empty, t) for r, t in zip(reviews, tokens, strict=True))

    def _parts(self) -> dict[str, _Part]:
        parts: dict[str, _Part] = {
            "ngrams": self.ngrams,
            "biases": self.biases,
            "weighing": self.weighing,
            "memory": self.memory,
        }
        if self.pretrained is not None:
            parts["vectors"] = self.pretrained.vectors
            if self.pretrained.adapters is not None:
                parts["adapters"] = self.pretrained.adapters
        return parts
