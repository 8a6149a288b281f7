"""Our own reading of the last step says what `transformers` and `peft` say, and learns alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from learner.behaviour import Behaviour
from learner.huggingface import LlamaConfig, LlamaModel, LoraConfig, get_peft_model
from learner.last_step import Fixed, last_hidden
from tests.unit.learner.toy import CONFIG, WIDTH

B, T, D = 6, 5, 16
LAST = torch.tensor([0, 1, 2, 3, 4, 4])


def llama(**differs: object) -> LlamaConfig:
    shape: dict[str, object] = {
        "vocab_size": 1,
        "hidden_size": D,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "initializer_range": 0.3,
    }
    return LlamaConfig(**{**shape, **differs})


def body(config: LlamaConfig) -> Any:
    torch.manual_seed(0)
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj", "down_proj"])
    made = get_peft_model(LlamaModel(config), lora)
    for name, parameter in made.named_parameters():
        if "lora_B" in name or "bias" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return made


def theirs(made: Any, tokens: Tensor) -> Tensor:
    hidden: Tensor = made(inputs_embeds=tokens, use_cache=False).last_hidden_state
    return hidden[torch.arange(len(tokens)), LAST]


@pytest.mark.parametrize(
    "config",
    [
        llama(),
        llama(num_key_value_heads=2),
        llama(attention_bias=True, mlp_bias=True),
        llama(hidden_act="gelu", rms_norm_eps=1e-2, num_hidden_layers=1),
        llama(rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}),
    ],
    ids=["plain", "grouped heads", "biases", "one layer, another activation", "other angles"],
)
def test_it_says_and_learns_the_same(config: LlamaConfig) -> None:
    made, told = body(config), torch.randn(B, D)
    tokens = torch.randn(B, T, D)
    found = []
    for read in (theirs, lambda made, tokens: last_hidden(made, tokens, LAST)):
        made.zero_grad()
        given = tokens.clone().requires_grad_()
        said = read(made, given)
        torch.autograd.backward((said * told).sum())
        learnt = [p.grad.clone() for p in made.parameters() if p.grad is not None]
        found.append([said.detach(), given.grad, *learnt])
    assert len(found[0]) == len(found[1]) >= 10
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("config", [llama(), llama(num_key_value_heads=2, attention_bias=True)])
def test_weights_that_were_taken_out_say_the_same(config: LlamaConfig) -> None:
    made, tokens = body(config), torch.randn(B, T, D)
    with torch.no_grad():
        fixed = Fixed.of(made, steps=9)
        said = last_hidden(made, tokens, LAST, fixed)
        torch.testing.assert_close(said, last_hidden(made, tokens, LAST), rtol=1e-5, atol=1e-6)


def test_what_comes_after_the_last_step_is_not_looked_at() -> None:
    made, tokens = body(llama()), torch.randn(B, T, D)
    other = torch.where(torch.arange(T)[None, :, None] > LAST[:, None, None], 9.0, tokens)
    with torch.no_grad():
        assert torch.equal(last_hidden(made, tokens, LAST), last_hidden(made, other, LAST))


def test_adapters_that_are_off_say_nothing() -> None:
    made, tokens = body(llama()), torch.randn(B, T, D)
    with torch.no_grad(), made.disable_adapter():
        torch.testing.assert_close(
            last_hidden(made, tokens, LAST), theirs(made, tokens), rtol=1e-4, atol=1e-5
        )


def test_the_learners_own_transformer_is_read_so() -> None:
    model = Behaviour(CONFIG.model, WIDTH, seed=1)
    tokens = torch.randn(B, T, D)
    with torch.no_grad():
        torch.testing.assert_close(
            last_hidden(model.body, tokens, LAST), theirs(model.body, tokens), rtol=1e-4, atol=1e-5
        )
