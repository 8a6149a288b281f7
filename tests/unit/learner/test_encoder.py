"""The text encoder: the same text the same vector, nothing for nothing, weights and no code."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from learner.config import EncoderConfig
from learner.encoder import TextEncoder, by_length, find_model
from stream.errors import SettingsError

CONFIG = EncoderConfig(device="cpu", max_tokens=16, batch=4)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(CONFIG)


def test_the_same_text_has_the_same_vector_whatever_stands_beside_it(encoder: TextEncoder) -> None:
    alone = encoder.encode(["cast iron tea pot"])[0]
    crowd = ["drill", "cast iron tea pot", "a " * 40, "cast iron tea pot", "red lamp", "chair"]
    vectors = encoder.encode(crowd).astype(np.float32)
    np.testing.assert_allclose(vectors[1], alone.astype(np.float32), atol=2e-3)
    np.testing.assert_allclose(vectors[1], vectors[3], atol=2e-3)
    assert np.array_equal(encoder.encode(crowd), encoder.encode(crowd))


def test_vectors_have_length_one_and_no_text_has_none(encoder: TextEncoder) -> None:
    vectors = encoder.encode(["lamp", "", "garden chair of teak"]).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, [1.0, 0.0, 1.0], atol=2e-3)


def test_the_order_of_texts_is_kept(encoder: TextEncoder) -> None:
    texts = ["a much longer text about a garden chair", "lamp", "tea kettle", "drill", "pot", "cup"]
    together = encoder.encode(texts).astype(np.float32)
    one_by_one = np.concatenate([encoder.encode([text]) for text in texts]).astype(np.float32)
    np.testing.assert_allclose(together, one_by_one, atol=2e-3)


def test_a_long_text_counts_up_to_its_cut_and_beyond_it_by_its_ngrams(encoder: TextEncoder) -> None:
    start = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    tea, drill = start + " tea", start + " drill"
    assert not np.array_equal(encoder.encode([tea]), encoder.encode([drill]))
    alone = TextEncoder(msgspec.structs.replace(CONFIG, ngrams=0.0))
    assert np.array_equal(alone.encode([tea]), alone.encode([drill]))
    assert alone.name != encoder.name


CHINESE = ("紫砂手工茶壶", "紫砂手工茶杯", "充电式电钻", "充电式冲击钻")


def test_what_the_encoder_cannot_read_is_alike_by_its_characters(encoder: TextEncoder) -> None:
    pot, cup, drill, hammer = encoder.encode(CHINESE).astype(np.float32)
    assert min(pot @ cup, drill @ hammer) > 2 * max(pot @ drill, cup @ hammer)
    alone = TextEncoder(msgspec.structs.replace(CONFIG, ngrams=0.0))
    pot, cup, drill, hammer = alone.encode(CHINESE).astype(np.float32)
    assert min(pot @ cup, drill @ hammer) < 2 * max(pot @ drill, cup @ hammer)


def test_without_a_model_ngrams_stand_alone() -> None:
    encoder = TextEncoder(EncoderConfig(model="", width=128))
    vectors = encoder.encode(["tea pot", "", *CHINESE]).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1, 1], atol=2e-3)


def test_weights_that_could_run_code_are_refused(tmp_path: Path) -> None:
    folder = Path(find_model(CONFIG.model))
    for file in folder.iterdir():
        if file.is_file() and file.suffix != ".safetensors":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SettingsError, match="safetensors"):
        TextEncoder(EncoderConfig(model=str(tmp_path), device="cpu"))


def test_an_encoder_of_another_width_says_which_width_to_set() -> None:
    with pytest.raises(SettingsError, match="set its `width` to 384"):
        TextEncoder(EncoderConfig(device="cpu", width=64))


def test_loading_shows_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    TextEncoder(CONFIG)
    assert capfd.readouterr() == ("", "")


def test_batches_hold_every_text_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 97, size=500).tolist()
    batches = list(by_length(lengths, 32))
    assert sorted(n for batch in batches for n in batch) == list(range(500))
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)
    assert padded < 1.25 * sum(lengths)
    assert max(len(batch) for batch in batches) <= 32
