"""One frozen encoder, an adapter per task."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
import torch

from learner.config import EncoderConfig
from learner.encoder import mean_over
from learner.reviews.config import ReviewConfig
from learner.reviews.reader import ReviewReader
from learner.reviews.shared import SharedEncoder
from learner.reviews.tasks import AdapterReader
from stream.errors import SettingsError

TEXTS = ["I love this pot", "it broke at once, never again", "the lid is so-so and rather small"]
CPU = EncoderConfig(device="cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shared_of(config: ReviewConfig) -> SharedEncoder:
    return SharedEncoder(CPU, config, torch.device("cpu"), seed=0)


def test_three_adapters_cost_a_tenth_more_than_one_at_most() -> None:
    shared = shared_of(ReviewConfig())
    for name in ("sentiment", "rating", "generator"):
        shared.add(name)
    assert shared.bytes_of(list(shared.adapters)) <= 1.1 * shared.bytes_of(["sentiment"])
    frozen = [p for p in shared.adapters["rating"].parameters() if not p.requires_grad]
    own = {p.data_ptr() for p in shared._model.parameters()}
    assert frozen and all(p.data_ptr() in own for p in frozen)


def test_layers_in_two_parts_say_what_the_whole_encoder_says() -> None:
    shared = shared_of(ReviewConfig(layers=2))
    upper = shared.add("sentiment").eval()
    tokens, vectors = shared.lower(TEXTS)
    said = shared._tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        by_parts = upper(*shared.together(tokens)).numpy()
        whole = shared._model(**said).last_hidden_state
        wanted = mean_over(whole, said["attention_mask"].bool()).numpy()
    assert np.allclose(by_parts, wanted, atol=5e-3)
    assert np.allclose(vectors[:, shared.width :], wanted, atol=5e-3)


@pytest.mark.parametrize("adapter", ["lora", "adalora"])
def test_a_task_learns_without_touching_the_encoder_or_another_task(
    adapter: Literal["lora", "adalora"],
) -> None:
    config = ReviewConfig(adapter=adapter, rate=5e-3, head_rate=1e-2, dropout=0.0)
    shared = shared_of(config)
    reader = AdapterReader(shared, config)
    frozen = [p.clone() for p in shared._model.parameters()]
    tokens, _ = shared.lower(TEXTS)
    truth = np.array([2, 0, 1])
    for _ in range(15):
        reader.tasks["sentiment"].learn(tokens, torch.from_numpy(truth))
    said = reader.read(tokens)
    assert said[:, :3].argmax(axis=1).tolist() == truth.tolist()
    assert np.array_equal(said[:, 3], np.zeros(3))
    after = list(shared._model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(frozen, after, strict=True))


def test_a_checkpoint_of_adapters_goes_on_alike() -> None:
    config = ReviewConfig(dropout=0.0)
    shared = shared_of(config)
    one, other = AdapterReader(shared, config), AdapterReader(shared_of(config), config)
    tokens, _ = shared.lower(TEXTS)
    for _ in range(2):
        one.learn(tokens, np.array([2, 0, 1]), np.array([1.0, -3.0, np.nan]))
    other.load(one.state())
    for reader in (one, other):
        reader.learn(tokens, np.array([2, 0, 1]), np.array([1.0, -3.0, -1.0]))
    assert np.array_equal(one.read(tokens), other.read(tokens))


def test_the_reader_loads_the_encoder_at_its_first_text_and_from_a_checkpoint() -> None:
    config = ReviewConfig(ngram_bits=12, rows=4, adapters=True)
    one, other = (ReviewReader(config, CPU, device="cpu") for _ in range(2))
    assert one.pretrained is None
    for _ in range(3):
        one.learn(TEXTS, [5.0, 1.0, None], ["ada", "bob", "eve"], ["pot"] * 3)
    assert one.pretrained is not None
    other.load(one.state())
    assert np.allclose(one.read(TEXTS).sentiment_N3, other.read(TEXTS).sentiment_N3)
    assert np.allclose(one.read(TEXTS).rating_N, other.read(TEXTS).rating_N)


def test_an_encoder_that_is_not_there_is_a_settings_error() -> None:
    config = ReviewConfig()
    with pytest.raises(SettingsError, match="can't read reviews"):
        SharedEncoder(EncoderConfig(model="/nowhere"), config, torch.device("cpu"), 0)
