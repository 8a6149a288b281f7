"""The review reader on recorded logs, in time order, each review read before it is learnt.

`bars`: macro-F1 of the sentiment and squared error of the rating, beside TF-IDF with regressions
and biases; `adapters`: what none, LoRA and AdaLoRA bring; `guesses`: a log of which one rating in
ten is known, with and without confident guesses; `asking`: labels chosen by doubt beside labels at
random; `chinese`: made-up reviews of one plan in two languages; `memory`: one adapter and three.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import psutil
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from learner.config import EncoderConfig
from learner.reviews.config import ReviewConfig
from learner.reviews.deciding import macro_f1
from learner.reviews.reader import ReviewReader
from learner.reviews.readings import sentiments
from learner.reviews.teaching import ask_first
from stream.events import json_encode
from tests.bench._kept_vectors import KeptEncoder
from tests.bench._review_baselines import bias_mse, tfidf_f1, tfidf_mse
from tests.bench._review_words import Language, made_reviews

LOGS = (
    "amazon_musical_instruments_2014",
    "amazon_digital_music_2014_head",
    "amazon_devices_datafiniti",
)
BATCH = 32
NGRAMS = ReviewConfig(encoder=False)
CPU = EncoderConfig(device="cpu")

Line = dict[str, object]


class Log(NamedTuple):
    """Reviews in time order; a rating is NaN where there is none."""

    texts: list[str]
    rating_N: NDArray[np.float64]
    users: list[str]
    items: list[str]

    @property
    def truth_N(self) -> NDArray[np.int64]:
        """Sentiments, -1 where there is no rating."""
        return np.where(np.isnan(self.rating_N), -1, sentiments(self.rating_N))


class Played(NamedTuple):
    """What a reader said of each review of a log before it learnt it."""

    label_N: NDArray[np.int64]
    rating_N: NDArray[np.float64]
    guessed: int
    seconds: float
    """Of the processor."""

    def figures(self, log: Log, start: int = 0) -> Line:
        """Macro-F1 and mean squared error from a review on."""
        known_N = ~np.isnan(log.rating_N) & (np.arange(len(log.texts)) >= start)
        off_N = (self.rating_N - log.rating_N)[known_N]
        return {
            "macro_f1": round(macro_f1(self.label_N[known_N], log.truth_N[known_N]), 4),
            "mse": round(float((off_N**2).mean()), 4),
            "ms_per_review": round(1e3 * self.seconds / len(log.texts), 1),
        }


def read_log(name: str, head: int) -> Log:
    """A recorded log, or its first reviews."""
    path = Path(os.environ["TIDEMILL_DATA"]) / name / "events.parquet"
    table = pq.read_table(path, columns=["text", "rating", "user_id", "item_id"])
    table = table.slice(0, head or None)
    rating_N = np.array([np.nan if r is None else r for r in table["rating"].to_pylist()], float)
    texts = [text or "" for text in table["text"].to_pylist()]
    return Log(texts, rating_N, table["user_id"].to_pylist(), table["item_id"].to_pylist())


def play(
    log: Log,
    config: ReviewConfig,
    hidden_N: NDArray[np.bool_] | None = None,
    kept: KeptEncoder | None = None,
) -> Played:
    """Read, then learn, a log; ratings that are hidden are judged, but not learnt."""
    reader, began = ReviewReader(config, CPU, device="cpu", seed=0), time.process_time()
    if kept is not None:
        reader.prepare()
        assert reader.pretrained is not None
        reader.pretrained = reader.pretrained._replace(shared=kept)
    label_N, rating_N, guessed = np.full(len(log.texts), 2), np.full(len(log.texts), 4.0), 0
    for start in range(0, len(log.texts), BATCH):
        at = slice(start, start + BATCH)
        texts, users, items = log.texts[at], log.users[at], log.items[at]
        readings = reader.read(texts, users, items)
        label_N[at], rating_N[at] = readings.label_N, readings.rating_N
        no_N = np.isnan(log.rating_N[at])
        if hidden_N is not None:
            no_N |= hidden_N[at]
        stars = [None if no else r for no, r in zip(no_N, log.rating_N[at].tolist(), strict=True)]
        guessed += reader.learn(texts, stars, users, items).guessed
    return Played(label_N, rating_N, guessed, time.process_time() - began)


def bars(name: str, head: int, config: ReviewConfig, keep: Path | None) -> Iterator[Line]:
    """The reader, and its n-grams alone, beside what they are compared with."""
    log = read_log(name, head)
    kept = KeptEncoder(keep, name, CPU, config) if keep and not config.adapters else None
    f1, mse = tfidf_f1(log.texts, log.truth_N), tfidf_mse(log.texts, log.rating_N)
    usual = bias_mse(log.users, log.items, log.rating_N, BATCH)
    best_f1, best_mse, best_usual = max(f1.values()), min(mse.values()), min(usual.values())
    line = {"log": name, "reviews": len(log.texts)}
    yield line | {
        "tfidf_f1": round(best_f1, 4),
        "by": max(f1, key=lambda setting: f1[setting]),
        "tfidf_mse": round(best_mse, 4),
        "biases_mse": round(best_usual, 4),
    }
    for words, of in (("n-grams alone", NGRAMS), ("all", config)):
        played = play(log, of, kept=kept if of is config else None).figures(log)
        yield (
            line
            | {"reads": words}
            | played
            | {
                "f1_ratio": round(float(str(played["macro_f1"])) / best_f1, 3),
                "mse_ratio": round(float(str(played["mse"])) / best_mse, 3),
                "below_biases": float(str(played["mse"])) < best_usual,
            }
        )
    if kept is not None:
        kept.close()


def adapters(name: str, head: int, config: ReviewConfig, _: Path | None) -> Iterator[Line]:
    """The encoder as it is, with LoRA, with AdaLoRA."""
    log = read_log(name, head)
    change = msgspec.structs.replace
    for words, of in (
        ("none", change(config, adapters=False)),
        ("lora", change(config, adapters=True)),
        ("adalora", change(config, adapters=True, adapter="adalora")),
    ):
        played = play(log, of)
        yield (
            {"log": name, "adapter": words}
            | played.figures(log)
            | {
                f"later_{figure}": value
                for figure, value in played.figures(log, len(log.texts) // 2).items()
                if figure != "ms_per_review"
            }
        )


def guesses(name: str, head: int, config: ReviewConfig, _: Path | None) -> Iterator[Line]:
    """Nine ratings in ten hidden: what learning confident guesses changes."""
    log = read_log(name, head)
    hidden_N = np.random.default_rng(0).random(len(log.texts)) < 0.9  # noqa: PLR2004
    for above in (2.0, 0.99, 0.95, 0.9):
        played = play(log, msgspec.structs.replace(config, guess_above=above), hidden_N)
        line = {"log": name, "guess_above": above, "guessed": played.guessed}
        yield line | played.figures(log)


def asking(name: str, head: int, config: ReviewConfig, _: Path | None) -> Iterator[Line]:
    """Labels by doubt and at random, from one pool, judged on the newest quarter."""
    log = read_log(name, head)
    cut = 3 * len(log.texts) // 4
    judged = [n for n in range(cut, len(log.texts)) if log.truth_N[n] >= 0]
    for seed in range(3):
        found: Line = {"log": name, "seed": seed}
        for how in ("random", "doubt"):
            chance = np.random.default_rng(seed)
            reader = ReviewReader(config, CPU, device="cpu", seed=seed)
            pool = [n for n in chance.permutation(cut).tolist() if log.truth_N[n] >= 0]
            for count in (*[BATCH] * 10, *[64] * 10):
                if how == "doubt" and reader.learnt >= 10 * BATCH:
                    some = pool[:1_000]
                    said = reader.read([log.texts[n] for n in some])
                    places = ask_first([log.texts[n] for n in some], said.doubt_N, count)
                    chosen = [some[asked.place] for asked in places]
                else:
                    chosen = pool[:count]
                taken = set(chosen)
                pool = [n for n in pool if n not in taken]
                chance.shuffle(pool)
                reader.learn(
                    [log.texts[n] for n in chosen],
                    [float(log.rating_N[n]) for n in chosen],
                    [log.users[n] for n in chosen],
                    [log.items[n] for n in chosen],
                )
            said = reader.read([log.texts[n] for n in judged])
            truth = log.truth_N[judged]
            found[f"{how}_f1"] = round(macro_f1(said.label_N, truth), 4)
            found[f"{how}_argmax_f1"] = round(macro_f1(said.sentiment_N3.argmax(axis=1), truth), 4)
            found["labels"] = reader.learnt
        yield found


def chinese(_: str, __: int, config: ReviewConfig, ___: Path | None) -> Iterator[Line]:
    """The same plan of made-up reviews in English and in Chinese."""
    languages: tuple[Language, ...] = ("en", "zh")
    for words, of in (("n-grams alone", NGRAMS), ("all", config)):
        for language in languages:
            made = made_reviews(language, 1_500, seed=0)
            rating_N = np.array([one.rating for one in made])
            users, items = [one.user for one in made], [one.item for one in made]
            log = Log([one.text for one in made], rating_N, users, items)
            yield {"language": language, "reads": words} | play(log, of).figures(log)


def memory(_: str, __: int, config: ReviewConfig, ___: Path | None) -> Iterator[Line]:
    """Bytes of weights and of the process with one adapter, then three."""
    from learner.reviews.shared import SharedEncoder  # noqa: PLC0415 - weighed from here on

    process = psutil.Process()
    shared = SharedEncoder(CPU, config, torch.device("cpu"), seed=0)
    shared.add("sentiment")
    tokens, _vectors = shared.lower(["warm"])
    shared.adapters["sentiment"](*shared.together(tokens))
    one_rss, one = process.memory_info().rss, shared.bytes_of(["sentiment"])
    for name in ("rating", "generator"):
        shared.add(name)
        shared.adapters[name](*shared.together(tokens))
    three = shared.bytes_of(list(shared.adapters))
    rss = process.memory_info().rss
    yield {"adapters": 1, "weights_mb": round(one / 1e6, 2), "rss_mb": round(one_rss / 1e6, 1)}
    yield {
        "adapters": 3,
        "weights_mb": round(three / 1e6, 2),
        "rss_mb": round(rss / 1e6, 1),
        "weights_ratio": round(three / one, 4),
        "rss_ratio": round(rss / one_rss, 4),
    }


PARTS: dict[str, Callable[[str, int, ReviewConfig, Path | None], Iterator[Line]]] = {
    "bars": bars,
    "adapters": adapters,
    "guesses": guesses,
    "asking": asking,
    "chinese": chinese,
    "memory": memory,
}

NO_LOG = ("chinese", "memory")


def main(arguments: Sequence[str]) -> None:
    """Print a line for each thing measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", nargs="+", default=list(LOGS))
    parser.add_argument("--head", type=int, default=0, help="first reviews of each; 0: all")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=["bars"])
    parser.add_argument("--adapters", action="store_true", help="learn the encoder's adapters")
    parser.add_argument("--no-encoder", action="store_true", help="n-grams alone")
    parser.add_argument("--keep", type=Path, help="folder for the encoder's outputs in `bars`")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of words")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = NGRAMS if asked.no_encoder else ReviewConfig(adapters=asked.adapters)
    for part in asked.parts:
        for name in asked.logs if part not in NO_LOG else [""]:
            for line in PARTS[part](name, asked.head, config, asked.keep):
                _say(asked.json, {"part": part} | line)


def _say(as_json: bool, line: Line) -> None:
    text = json_encode(line).decode() if as_json else "  ".join(f"{k} {v}" for k, v in line.items())
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
