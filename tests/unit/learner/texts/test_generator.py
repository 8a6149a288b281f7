"""The generator: only its adapter moves, it goes on where it was, and loads no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from learner.texts.checker import passes
from learner.texts.config import TextsConfig
from learner.texts.facts import Facts
from learner.texts.generator import Generator
from learner.texts.kneser_ney import KneserNey
from learner.texts.pieces import load_model
from learner.texts.speaker import Speaker
from learner.texts.tiny import Tiny, make_tiny
from stream.errors import SettingsError

WARES = ("pot", "lamp", "drill", "chair")
MADE = ("iron", "glass", "oak", "steel")
FACTS = [Facts(title=f"{made.title()} {ware}", price=9.0) for made in MADE for ware in WARES]
TEXTS = [f"A fine {made} {ware} for the house." for made in MADE for ware in WARES]
SHAPE = Tiny(vocabulary=400, width=32, layers=1, prompt=24, text=16, batch=8, passes=20, rate=1e-2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models of this size wait for threads longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("texts") / "tiny"
    make_tiny(FACTS, TEXTS, made, shape=SHAPE)
    return made


@pytest.fixture
def config(folder: Path) -> TextsConfig:
    return TextsConfig(model=str(folder), device="cpu", prompt=24, pieces=16, rank=4, rate=1e-2)


def test_a_base_words_the_facts_that_it_was_taught(config: TextsConfig) -> None:
    right = Generator(config).nll(FACTS, TEXTS)
    wrong = Generator(config).nll(FACTS[1:] + FACTS[:1], TEXTS)
    assert right.nats < wrong.nats
    assert right.pieces == wrong.pieces == sum(len(Generator(config).pieces.said(t)) for t in TEXTS)


def test_learning_moves_the_adapter_and_nothing_else(config: TextsConfig) -> None:
    generator = Generator(config)
    model = generator._model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    praise = ["Not so fine after all, I sent it back."] * len(FACTS)
    costs = [generator.learn(FACTS, praise).nats for _ in range(12)]
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert moved
    assert all("lora_" in name for name in moved)
    assert costs[-1] < 0.8 * costs[0]
    with generator.without_adapter():
        assert generator.nll(FACTS, praise).nats == pytest.approx(costs[0], rel=1e-4)


def test_it_goes_on_bit_by_bit_from_its_state(config: TextsConfig, tmp_path: Path) -> None:
    one, other = Generator(config, seed=1), Generator(config, seed=2)
    one.learn(FACTS, TEXTS)
    other.load(one.state())
    for generator in (one, other):
        generator.learn(FACTS[:5], TEXTS[3:8])
    left, right = one.state(), other.state()
    one.save(tmp_path / "adapter.safetensors")
    named = replace(config, adapter=str(tmp_path / "adapter.safetensors"))
    assert Generator(named, seed=3).nll(FACTS, TEXTS) == one.nll(FACTS, TEXTS)
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)


def test_two_with_one_seed_write_alike_and_held_drafts_have_only_known_words(
    config: TextsConfig,
) -> None:
    pot = Facts(title="Iron pot", brand="Acme", price=9.0)
    one, other = Generator(config, seed=4), Generator(config, seed=4)
    drafts = one.write([pot], 4)
    assert drafts == other.write([pot], 4)
    letters = set("".join(drafts[0]).lower().replace(" ", ""))
    assert len(drafts[0]) > 1
    assert "fine" not in " ".join(drafts[0])
    assert letters <= set("abcdefghijklmnopqrstuvwxyz0123456789.,:'-’")
    assert "fine" in one.write([pot], 1, held=False)[0][0]


def test_what_a_model_says_is_supported_or_a_template_speaks(config: TextsConfig) -> None:
    speaker = Speaker(Generator(config), drafts=3)
    for facts, said in zip(FACTS, speaker.sentences(FACTS), strict=True):
        assert passes(said, facts)
    assert speaker.spoken.total() == len(FACTS)


def test_an_encoder_decoder_reads_the_facts_in_its_encoder(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(folder)
    shape = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    T5ForConditionalGeneration(shape).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    generator = Generator(TextsConfig(model=str(tmp_path), device="cpu", rate=3e-2, pieces=16))
    costs = [generator.learn(FACTS, TEXTS).nats for _ in range(8)]
    assert costs[-1] < 0.9 * costs[0]
    assert len(generator.write(FACTS[:2], 2)) == 2


def test_weights_that_could_run_code_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SettingsError, match="safetensors"):
        load_model(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(SettingsError, match="name its base"):
        load_model(str(tmp_path))


def test_another_model_s_adapter_is_refused(config: TextsConfig) -> None:
    generator = Generator(config)
    arrays = generator.state()
    arrays.popitem()
    with pytest.raises(SettingsError, match="in the adapter"):
        generator.load(arrays)


def test_the_trigram_is_a_distribution_and_prefers_what_it_has_seen() -> None:
    model = KneserNey(pieces=12)
    model.learn([[1, 2, 3, 4], [1, 2, 5], [7, 2, 3]])
    before = model.nll([1, 2, 3, 4])
    for context in ((1, 2), (7, 2), (9, 9), (-1, -1)):
        total = sum(model.probability(context, piece) for piece in range(12))
        assert total == pytest.approx(1.0)
    model.learn([[1, 2, 3, 4]])
    assert model.nll([1, 2, 3, 4]) < before
    # 3 follows two different words, 4 one: unseen contexts go by that, not by frequency.
    assert model.probability((9, 9), 2) > model.probability((9, 9), 4)
