"""The reader without the pretrained encoder: hashed n-grams, biases, their weighing."""

import subprocess
import sys

import numpy as np

from learner.config import EncoderConfig
from learner.reviews.config import ReviewConfig
from learner.reviews.reader import ReviewReader
from learner.reviews.readings import ReviewReport
from tests.bench._review_words import Language, Made, made_reviews

SMALL = ReviewConfig(encoder=False, ngram_bits=14)


def reader_of(config: ReviewConfig = SMALL) -> ReviewReader:
    return ReviewReader(config, EncoderConfig(), device="cpu", seed=3)


def learn(
    reader: ReviewReader, reviews: list[Made], rated: bool = True, batch: int = 32
) -> list[ReviewReport]:
    reports = []
    for start in range(0, len(reviews), batch):
        part = reviews[start : start + batch]
        stars = [one.rating if rated else None for one in part]
        texts, users = [one.text for one in part], [one.user for one in part]
        reports.append(reader.learn(texts, stars, users, [one.item for one in part]))
    return reports


def right(reader: ReviewReader, language: Language) -> float:
    """The share of new reviews whose sentiment is read rightly."""
    new = made_reviews(language, 200, seed=99)
    said = reader.read([one.text for one in new]).label_N
    truth = [0 if one.rating < 3 else 1 if one.rating == 3 else 2 for one in new]
    return float((said == truth).mean())


def test_chinese_is_learnt_as_well_as_english() -> None:
    found = {}
    for language in ("en", "zh"):
        reader = reader_of()
        learn(reader, made_reviews(language, 480, seed=1))
        found[language] = right(reader, language)
    assert found["zh"] > 0.9 * found["en"] > 0.8


def test_reading_changes_nothing() -> None:
    one, other = reader_of(), reader_of()
    reviews = made_reviews("en", 96, seed=2)
    for reader in (one, other):
        learn(reader, reviews[:64])
    for _ in range(3):
        one.read([review.text for review in reviews])
    for reader in (one, other):
        learn(reader, reviews[64:])
    texts = [review.text for review in made_reviews("en", 20, seed=4)]
    assert np.array_equal(one.read(texts).sentiment_N3, other.read(texts).sentiment_N3)


def test_a_report_is_of_what_was_said_before_learning() -> None:
    reader = reader_of()
    report = reader.learn(["awful"], [1.0], ["ada"], ["pot"])
    assert report.rated == 1
    assert report.squared_error == 9.0  # 4 stars are said where nothing is known
    assert report.loss == -np.log(1 / 3)


def test_a_checkpoint_goes_on_alike_and_holds_arrays_alone() -> None:
    one, other = reader_of(), reader_of()
    reviews = made_reviews("zh", 160, seed=5)
    learn(one, reviews[:96])
    state = one.state()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    other.load(state)
    for reader in (one, other):
        learn(reader, reviews[96:])
    texts = [review.text for review in reviews]
    assert np.array_equal(one.read(texts).sentiment_N3, other.read(texts).sentiment_N3)
    assert np.array_equal(one.read(texts).rating_N, other.read(texts).rating_N)


def test_a_checkpoint_stands_still_while_its_reader_learns_on() -> None:
    reader = reader_of()
    learn(reader, made_reviews("en", 64, seed=6))
    state = reader.state()
    before = {name: array.copy() for name, array in state.items()}
    learn(reader, made_reviews("en", 64, seed=7))
    assert all(np.array_equal(state[name], before[name]) for name in state)


def test_unrated_reviews_teach_nothing_unless_guesses_are_on() -> None:
    for above, taught in ((2.0, False), (0.6, True)):
        config = ReviewConfig(encoder=False, ngram_bits=14, guess_above=above, replays=0)
        reader = reader_of(config)
        learn(reader, made_reviews("en", 480, seed=8))
        before = reader.ngrams.weight_V4.copy()
        reports = learn(reader, made_reviews("en", 64, seed=9), rated=False)
        assert (sum(report.guessed for report in reports) > 0) is taught
        assert (not np.array_equal(before, reader.ngrams.weight_V4)) is taught
        assert all(report.rated == 0 for report in reports)


def test_ratings_follow_what_a_user_usually_gives() -> None:
    reader = reader_of()
    for _ in range(20):
        texts, users = ["it is a pot"] * 8, ["grim"] * 4 + ["glad"] * 4
        reader.learn(texts, [2.0] * 4 + [5.0] * 4, users, ["pot"] * 8)
    grim, glad = reader.read(["it is a pot"] * 2, ["grim", "glad"], ["pot", "pot"]).rating_N
    assert glad - grim > 1.5


def test_a_forgotten_users_reviews_are_in_no_checkpoint() -> None:
    reader = reader_of()
    reader.learn(["my secret words", "fine"], [1.0, 5.0], ["user-gone", "bob"], ["pot", "pot"])
    reader.read(["my secret words"])
    reader.forget("user-gone")
    left = b"".join(array.tobytes() for array in reader.state().values())
    assert b"secret" not in left and b"user-gone" not in left and b"bob" in left


def test_doubt_is_greatest_between_two_sentiments() -> None:
    reader = reader_of()
    learn(reader, made_reviews("en", 480, seed=10))
    texts = [
        "the lid is excellent. I love the handle",
        "the lid is terrible. the handle is excellent",
    ]
    sure, torn = reader.read(texts).doubt_N
    assert 0 <= sure < torn <= 1


def test_without_encoder_no_pretrained_library_is_loaded() -> None:
    code = (
        "import sys\n"
        "from learner.config import EncoderConfig\n"
        "from learner.reviews.config import ReviewConfig\n"
        "from learner.reviews.reader import ReviewReader\n"
        "config = ReviewConfig(encoder=False, ngram_bits=12)\n"
        "reader = ReviewReader(config, EncoderConfig(), device='cpu')\n"
        "reader.learn(['fine'], [5.0], ['ada'], ['pot'])\n"
        "sys.exit('transformers.models.bert' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
