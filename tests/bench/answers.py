"""Answers to questions, by the bars that they are held to: `python -m tests.bench answers`.

Parts:

- `fields`: questions made of the fields of real catalogues, half of them about a field that the
  item lacks. The whole way is taken: descriptions may answer as well, and be wrong.
- `reviews`: questions that people asked of reviews (`squadshifts_amazon`). Weights are fitted on
  one half of the texts and shown on the other, both ways. Unanswerable are the same questions
  beside a text of another group, one for each. Beside it: the encoder's cosine with each sentence.
- `latency`: a question to the answer with its citation, of items with 50 reviews each.

Every quotation of every answer is compared with its source, letter by letter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from features.catalog import Catalog
from infra.bench.bar import Bar
from learner.answers.fitting import Beside, fit
from learner.answers.frequencies import Frequencies
from learner.answers.judge import Judge
from learner.answers.likeness import MOST_TOKENS, Tokens, likeness
from learner.answers.sentences import Span, sentences
from learner.catalogue import describe_item
from learner.config import EncoderConfig
from learner.encoder import TextEncoder
from serving.answers.answering import Answering
from serving.answers.fields import field_of, normal
from serving.answers.knowledge import Knowledge
from serving.answers.reading import Reader
from serving.answers.replies import Question
from serving.answers.review_book import Said
from serving.index import ItemIndex
from stream.asked import Answer
from stream.events import Item
from tests.bench._answer_questions import chorus, questions, uci

PARTS = ("fields", "reviews", "latency")


class Asked(NamedTuple):
    """A question that people asked of a review, and the places of the sentences that answer it."""

    text: str
    of: int
    right: frozenset[int]


class Reviews(NamedTuple):
    """Texts with their groups, their sentences, and the questions."""

    texts: list[str]
    groups: list[str]
    spans: list[list[Span]]
    asked: list[Asked]


def read_reviews(folder: Path, most: int) -> Reviews:
    """The questions of `squadshifts_amazon`, of so many texts at most."""
    rows = pq.read_table(folder / "qa.parquet").to_pylist()
    places: dict[str, int] = {}
    groups: list[str] = []
    for row in rows:
        if row["context"] not in places and len(places) < most:
            places[row["context"]] = len(places)
            groups.append(row["title"])
    spans = [sentences(text) for text in places]
    asked = []
    for row in rows:
        if (of := places.get(row["context"])) is not None:
            answers = json.loads(row["answers"])
            right = frozenset(_holding(spans[of], a["answer_start"], a["text"]) for a in answers)
            asked.append(Asked(row["question"], of, right))
    return Reviews(list(places), groups, spans, asked)


def _holding(spans: Sequence[Span], start: int, text: str) -> int:
    """The sentence that holds most of an answer."""
    end = start + len(text)
    shared = [min(end, span.end) - max(start, span.start) for span in spans]
    return int(np.argmax(shared))


def reviews_part(folder: Path, size: float, encoder: TextEncoder) -> Iterator[Bar]:
    """Right sentence first, answerable or not, precision where 90 % are answered."""
    data = read_reviews(folder, max(40, round(1_000 * size)))
    known = Frequencies()
    for text in data.texts:
        known.add(text)
    asked = encoder.tokens([one.text for one in data.asked], 64)
    read = encoder.tokens(data.texts, 512)
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(data.texts)) % 2
    others = [_other(rng, data, one.of, fold) for one in data.asked]
    own = [
        _beside(data, n, one.of, (asked[n], read[one.of]), one.right)
        for n, one in enumerate(data.asked)
    ]
    other = [_beside(data, n, of, (asked[n], read[of]), frozenset()) for n, of in enumerate(others)]
    first = np.zeros(len(own))
    answers = np.zeros((2, len(own)))
    for half in (0, 1):
        here = [n for n, one in enumerate(data.asked) if fold[one.of] == half]
        there = [n for n, one in enumerate(data.asked) if fold[one.of] != half]
        pairs = [own[n] for n in there] + [other[n] for n in there]
        judge = Judge(fit(pairs, known.rarity))
        for n in here:
            for side, pair in enumerate((own[n], other[n])):
                judged = judge.judge(pair.question, pair.sentences, pair.like, known.rarity)
                answers[side, n] = judged.answers
                if side == 0:
                    first[n] = judged.best in data.asked[n].right
    plain, plain_best = _cosines(data, others, encoder)
    begin = float(np.mean([0 in one.right for one in data.asked]))
    yield _bar("first", first.mean(), {"MiniLM": plain_best, "first sentence": begin}, 0.70)
    yield _bar("answerable-auroc", _auroc(answers), {"MiniLM": _auroc(plain)}, 0.95)
    at_90, plain_90 = _precision(answers), _precision(plain)
    yield _bar("precision-at-90", at_90, {"MiniLM": plain_90}, 0.92)


def _bar(name: str, value: float, against: dict[str, float], least: float) -> Bar:
    return Bar(
        name=f"answers/{name}",
        value=float(value),
        unit="share",
        against=against,
        bar=f"≥ {least}",
        holds=bool(value >= least),
    )


def _other(rng: np.random.Generator, data: Reviews, of: int, fold: NDArray[np.int64]) -> int:
    """A text of another group, on the same side of the split."""
    for _ in range(10_000):
        place = int(rng.integers(len(data.texts)))
        if data.groups[place] != data.groups[of] and fold[place] == fold[of]:
            return place
    return (of + 1) % len(data.texts)


def _beside(
    data: Reviews, n: int, of: int, tokens: tuple[Tokens, Tokens], right: frozenset[int]
) -> Beside:
    spans = data.spans[of]
    texts = [span.of(data.texts[of]) for span in spans]
    return Beside(data.asked[n].text, texts, likeness(*tokens, spans), right)


def _cosines(
    data: Reviews, others: Sequence[int], encoder: TextEncoder
) -> tuple[NDArray[np.float64], float]:
    """The plain way: each sentence encoded alone, the highest cosine; and how often it is right."""
    flat = [span.of(text) for text, of in zip(data.texts, data.spans, strict=True) for span in of]
    vectors = encoder.encode(flat).astype(np.float32)
    of_text = np.split(vectors, np.cumsum([len(of) for of in data.spans])[:-1])
    asked = encoder.encode([one.text for one in data.asked]).astype(np.float32)
    own = [of_text[one.of] @ asked[n] for n, one in enumerate(data.asked)]
    right = [int(own[n].argmax()) in one.right for n, one in enumerate(data.asked)]
    best = [[float(one.max()) for one in own]]
    best.append([float((of_text[of] @ asked[n]).max()) for n, of in enumerate(others)])
    return np.array(best), float(np.mean(right))


def _auroc(scores: NDArray[np.float64]) -> float:
    truth = np.repeat([1, 0], scores.shape[1])
    return float(roc_auc_score(truth, scores.ravel()))


def _precision(scores: NDArray[np.float64]) -> float:
    """Where 90 % of the answerable are answered: how many of all answered are answerable."""
    least = np.quantile(scores[0], 0.1)
    right, wrong = float((scores[0] >= least).mean()), float((scores[1] >= least).mean())
    return right / (right + wrong)


def shop(items: Sequence[Item], encoder: TextEncoder | None) -> Answering:
    """A shop that may be asked about these items."""
    index = ItemIndex(Catalog(EncoderConfig().width, texts=True))
    for start in range(0, len(items), 1_000):
        part = items[start : start + 1_000]
        index.upsert([describe_item(one, "", None, 0) for one in part])
    return Answering(Knowledge(index), Reader(lambda: encoder))


def fields_part(data: Path, size: float, encoder: TextEncoder) -> Iterator[Bar]:
    """Attribute questions: exact, not known where nothing is, and never wrong."""
    for name, items in (
        ("chorus_icecat", chorus(data / "chorus_icecat")),
        ("uci_online_retail", uci(data / "uci_online_retail")),
    ):
        answering = shop(items, encoder)
        exact = known = lacking = silent = rightly = wrong = count = verbatim = cited = 0
        for one in questions(items, round(600 * size), seed=7):
            question = Question(one.text, "user", 0, "q", None, one.item.item_id)
            answer = answering.reply(question).answer
            silent_now = answer.route == "unknown"
            count += 1
            silent += silent_now
            known += one.value is not None
            lacking += one.value is None
            exact += one.value is not None and answer.value == one.value
            rightly += one.value is None and silent_now
            wrong += not silent_now and answer.value != one.value
            cited += len(answer.citations)
            verbatim += _verbatim(answer, one.item)
        of = f"fields/{name}"
        yield _bar(f"{of}/exact", exact / max(known, 1), {"questions": count}, 0.98)
        yield _bar(f"{of}/unknown-precision", rightly / max(silent, 1), {}, 0.95)
        yield _bar(f"{of}/unknown-recall", rightly / max(lacking, 1), {}, 0.95)
        yield Bar(
            name=f"answers/{of}/wrong",
            value=wrong / max(count, 1),
            unit="share",
            bar="≤ 0.01",
            holds=wrong <= 0.01 * count,
        )
        yield _bar(f"{of}/verbatim", verbatim / max(cited, 1), {"citations": cited}, 1.0)


def _verbatim(answer: Answer, item: Item) -> int:
    """How many citations stand in the item's record as they say."""
    right = 0
    for one in answer.citations:
        text = item.description
        if one.field != "description":
            field = field_of(item, normal(one.field.removeprefix("attributes.")))
            text = field.source if field is not None else ""
        right += text[one.start : one.end] == one.quote
    return right


def latency_part(folder: Path, size: float, encoder: TextEncoder) -> Iterator[Bar]:
    """Questions about items of 50 reviews each, new to the process: nothing is remembered."""
    data = read_reviews(folder, max(60, round(1_000 * size)))
    items = [Item(item_id=f"item-{n}", title=f"Product {n}") for n in range(20)]
    answering = shop(items, encoder)
    texts: dict[str, str] = {}
    for n in range(len(items) * 50):
        of = n % len(data.texts)
        texts[f"review-{n}"] = data.texts[of][:2_000]
        said = Said(f"review-{n}", f"user-{n}", f"item-{n % len(items)}", data.texts[of], n)
        answering.knowledge.reviews.add(said)
    encoder.tokens(["warm up"], MOST_TOKENS)
    waits, took, verbatim, cited = [], [], 0, 0
    for one in data.asked[: max(30, round(300 * size))]:
        started_s, worked_s = time.perf_counter(), time.process_time()
        question = Question(one.text, "user", 0, "q", None, f"item-{one.of % len(items)}")
        answer = answering.reply(question).answer
        waits.append(time.perf_counter() - started_s)
        took.append(time.process_time() - worked_s)
        for citation in answer.citations:
            cited += 1
            text = texts[citation.id]
            verbatim += text[citation.start : citation.end] == citation.quote
    p90_ms = float(np.quantile(waits, 0.9)) * 1_000
    yield Bar(
        name="answers/latency-p90",
        value=p90_ms,
        unit="ms",
        against={
            "p50": float(np.quantile(waits, 0.5)) * 1_000,
            "processor p50": float(np.quantile(took, 0.5)) * 1_000,
            "processor p90": float(np.quantile(took, 0.9)) * 1_000,
        },
        bar="≤ 300 ms",
        holds=p90_ms <= 300,
    )
    yield _bar("verbatim", verbatim / max(cited, 1), {"citations": cited}, 1.0)


def main(arguments: Sequence[str]) -> None:
    """Print a line per figure, all measured in this one call."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(arguments)
    if "TIDEMILL_DATA" not in os.environ:
        sys.exit("TIDEMILL_DATA is not set: there is nothing to ask about")
    data = Path(os.environ["TIDEMILL_DATA"])
    encoder = TextEncoder(EncoderConfig())
    bars = {
        "fields": lambda: fields_part(data, options.size, encoder),
        "reviews": lambda: reviews_part(data / "squadshifts_amazon", options.size, encoder),
        "latency": lambda: latency_part(data / "squadshifts_amazon", options.size, encoder),
    }
    for part in options.parts:
        for bar in bars[part]():
            print(bar, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
