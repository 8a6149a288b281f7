"""What a Llama with adapters makes of each history's last step, and of nothing else.

Online only the last step speaks for the user. So the last layer computes keys and values for all
steps, and the rest for one. Adapters are added to the weights they adapt before anything is
multiplied with them: these matrices are small beside a micro-batch's steps, and a product less per
layer is more than their sum costs. Queries and keys are turned as complex numbers, which is one
pass over memory where rotating halves takes five; their coordinates change places for that, alike
in both, which leaves their products as they are. All that differs from `transformers` and `peft`
is rounding.

Legend: `B` users, `T` steps, `D` width, `H` heads, `G` heads of keys and values, `C` width of a
head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention


def last_hidden(body: Any, tokens_BTD: Tensor, last_B: Tensor) -> Tensor:
    """The final hidden state at step `last_B` of each user, (B, D); later steps are not looked at.

    Parameters
    ----------
    body
        A `LlamaModel` within `peft`, as `learner.behaviour` makes it.
    tokens_BTD
        What it reads.
    """
    llama = body.get_base_model()
    step_T = torch.arange(tokens_BTD.shape[1], device=tokens_BTD.device)
    cos_1TC, sin_1TC = llama.rotary_emb(tokens_BTD.float(), position_ids=step_T[None])
    half = cos_1TC.shape[2] // 2
    turn_TC = torch.complex(cos_1TC[0, :, :half].float(), sin_1TC[0, :, :half].float())
    hidden_BTD = tokens_BTD
    for layer in llama.layers[:-1]:
        hidden_BTD = _layer(layer, hidden_BTD, turn_TC)
    last_BD = _last_layer(llama.layers[-1], hidden_BTD, turn_TC, last_B)
    return _norm(llama.norm, last_BD)


def _layer(layer: Any, hidden_BTD: Tensor, turn_TC: Tensor) -> Tensor:
    attention = layer.self_attn
    read_BTD = _norm(layer.input_layernorm, hidden_BTD)
    query_BHTC = _turned(_turning(attention.q_proj, attention, read_BTD), turn_TC)
    key_BGTC = _turned(_turning(attention.k_proj, attention, read_BTD), turn_TC)
    value_BGTC = _heads(adapted(attention.v_proj, read_BTD), attention).transpose(1, 2)
    seen_BHTC = scaled_dot_product_attention(
        query_BHTC, key_BGTC, value_BGTC, is_causal=True, enable_gqa=_grouped(attention)
    )
    seen_BTD = seen_BHTC.transpose(1, 2).flatten(2)
    hidden_BTD = hidden_BTD + adapted(attention.o_proj, seen_BTD)
    return hidden_BTD + _thought(layer, hidden_BTD)


def _last_layer(layer: Any, hidden_BTD: Tensor, turn_TC: Tensor, last_B: Tensor) -> Tensor:
    attention = layer.self_attn
    line_B = torch.arange(len(last_B), device=last_B.device)
    read_BTD = _norm(layer.input_layernorm, hidden_BTD)
    query_B1HC = _turning(attention.q_proj, attention, read_BTD[line_B, last_B][:, None])
    query_BH1C = _turned(query_B1HC, turn_TC[last_B][:, None])
    key_BGTC = _turned(_turning(attention.k_proj, attention, read_BTD), turn_TC)
    value_BGTC = _heads(adapted(attention.v_proj, read_BTD), attention).transpose(1, 2)
    past_BT = torch.arange(len(turn_TC), device=last_B.device) <= last_B[:, None]
    seen_BH1C = scaled_dot_product_attention(
        query_BH1C,
        key_BGTC,
        value_BGTC,
        attn_mask=past_BT[:, None, None],
        enable_gqa=_grouped(attention),
    )
    last_BD = hidden_BTD[line_B, last_B] + adapted(attention.o_proj, seen_BH1C.flatten(1))
    return last_BD + _thought(layer, last_BD)


def _thought(layer: Any, hidden: Tensor) -> Tensor:
    mlp, read = layer.mlp, _norm(layer.post_attention_layernorm, hidden)
    inner = mlp.act_fn(adapted(mlp.gate_proj, read)) * adapted(mlp.up_proj, read)
    return adapted(mlp.down_proj, inner)


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _grouped(attention: Any) -> bool:
    return bool(attention.num_key_value_groups > 1)


def adapted(layer: Any, inputs: Tensor) -> Tensor:
    """Apply a linear layer with its adapters."""
    weight, bias = _weight(layer)
    return linear(inputs, weight, bias)


def _weight(layer: Any) -> tuple[Tensor, Tensor | None]:
    if isinstance(layer, nn.Linear):
        return layer.weight, layer.bias
    weight = layer.base_layer.weight
    for name in () if layer.disable_adapters or layer.merged else layer.active_adapters:
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        weight = torch.addmm(weight, up, down, alpha=layer.scaling[name])
    return weight, layer.base_layer.bias


def _heads(flat: Tensor, attention: Any) -> Tensor:
    return flat.view(*flat.shape[:-1], -1, attention.head_dim)


def _turning(layer: Any, attention: Any, read_BTD: Tensor) -> Tensor:
    """Queries or keys whose coordinates that are turned together are neighbours: (B, T, H, C)."""
    weight, bias = _weight(layer)
    C = attention.head_dim
    place_C = torch.arange(C, device=weight.device).view(2, C // 2).T.flatten()
    weight = weight.view(-1, C, weight.shape[1])[:, place_C].flatten(0, 1)
    if bias is not None:
        bias = bias.view(-1, C)[:, place_C].flatten()
    return _heads(linear(read_BTD, weight, bias), attention)


def _turned(heads_BTHC: Tensor, turn: Tensor) -> Tensor:
    """Each pair of coordinates turned by its step's angle: (B, H, T, C)."""
    pairs = torch.view_as_complex(heads_BTHC.float().view(*heads_BTHC.shape[:-1], -1, 2))
    turned = torch.view_as_real(pairs * turn[..., None, :]).flatten(-2)
    return turned.to(heads_BTHC.dtype).transpose(1, 2)
