"""What a Llama with adapters makes of each history's last step, and of nothing else.

Online only the last step speaks for the user. So the last layer computes keys and values for all
steps, and the rest for one. Adapters are added to the weights they adapt before anything is
multiplied with them: these matrices are small beside a micro-batch's steps, and a product less per
layer is more than their sum costs. Queries and keys are turned as complex numbers, which is one
pass over memory where rotating halves takes five; their coordinates change places for that, alike
in both, which leaves their products as they are. All that differs from `transformers` and `peft`
is rounding.

Who only reads takes the weights out of the modules once (`Fixed`): for a single user, finding them
and adding the adapters takes several times as long as multiplying.

Legend: `B` users, `T` steps, `D` width, `H` heads, `G` heads of keys and values, `C` width of a
head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention

Linear = tuple[Tensor, Tensor | None]
"""Weight and bias, adapters added."""

Norm = tuple[Tensor, float]
"""Weight and epsilon."""


class Layer(NamedTuple):
    """A layer's weights, taken out of their modules; queries and keys ready to be turned."""

    before: Norm
    query: Linear
    key_value: Linear
    """The keys' projection over the values'."""
    out: Linear
    between: Norm
    gate_up: Linear
    """The gate's projection over that of what it lets through."""
    down: Linear
    bend: Callable[[Tensor], Tensor]
    head: int
    """Width of a head."""
    grouped: bool
    """Whether several heads share keys and values."""

    @classmethod
    def of(cls, layer: Any) -> Self:
        """As the layer stands now; gradients flow through to it."""
        attention, mlp = layer.self_attn, layer.mlp
        head = attention.head_dim
        return cls(
            _norm_of(layer.input_layernorm),
            _turning(_weight(attention.q_proj), head),
            _over(_turning(_weight(attention.k_proj), head), _weight(attention.v_proj)),
            _weight(attention.o_proj),
            _norm_of(layer.post_attention_layernorm),
            _over(_weight(mlp.gate_proj), _weight(mlp.up_proj)),
            _weight(mlp.down_proj),
            mlp.act_fn,
            head,
            bool(attention.num_key_value_groups > 1),
        )


class Fixed(NamedTuple):
    """The weights of a transformer that doesn't learn any more, and angles for so many steps."""

    layers: list[Layer]
    norm: Norm
    turn_TC: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, body: Any, steps: int) -> Self:
        """Take them out of a `LlamaModel` within `peft`."""
        llama = body.get_base_model()
        layers = [Layer.of(layer) for layer in llama.layers]
        norm = _norm_of(llama.norm)
        return cls(layers, norm, _turns(llama, norm[0].new_zeros(1, steps, len(norm[0]))))


def last_hidden(
    body: Any, tokens_BTD: Tensor, last_B: Tensor, fixed: Fixed | None = None
) -> Tensor:
    """The final hidden state at step `last_B` of each user, (B, D); later steps are not looked at.

    Parameters
    ----------
    body
        A `LlamaModel` within `peft`, as `learner.behaviour` makes it.
    tokens_BTD
        What it reads.
    last_B
        Where each user's history ends.
    fixed
        What was taken out of `body`, if it hasn't learnt since.
    """
    if fixed is None:
        llama = body.get_base_model()
        turn_TC, norm = _turns(llama, tokens_BTD), _norm_of(llama.norm)
        *layers, last = (Layer.of(layer) for layer in llama.layers)
    else:
        turn_TC, norm = fixed.turn_TC[: tokens_BTD.shape[1]], fixed.norm
        *layers, last = fixed.layers
    hidden_BTD = tokens_BTD
    for layer in layers:
        hidden_BTD = _layer(layer, hidden_BTD, turn_TC)
    return _norm(norm, _last_layer(last, hidden_BTD, turn_TC, last_B))


def _turns(llama: Any, tokens_BTD: Tensor) -> Tensor:
    """The angle of each step and pair of coordinates, as a complex number of length 1: (T, C)."""
    step_T = torch.arange(tokens_BTD.shape[1], device=tokens_BTD.device)
    cos_1TC, sin_1TC = llama.rotary_emb(tokens_BTD.float(), position_ids=step_T[None])
    half = cos_1TC.shape[2] // 2
    return torch.complex(cos_1TC[0, :, :half].float(), sin_1TC[0, :, :half].float())


def _layer(layer: Layer, hidden_BTD: Tensor, turn_TC: Tensor) -> Tensor:
    read_BTD = _norm(layer.before, hidden_BTD)
    query_BHTC = _turned(_heads(linear(read_BTD, *layer.query), layer.head), turn_TC)
    key_BGTC, value_BGTC = _keys_values(layer, read_BTD, turn_TC)
    seen_BHTC = scaled_dot_product_attention(
        query_BHTC, key_BGTC, value_BGTC, is_causal=True, enable_gqa=layer.grouped
    )
    seen_BTD = seen_BHTC.transpose(1, 2).flatten(2)
    hidden_BTD = hidden_BTD + linear(seen_BTD, *layer.out)
    return hidden_BTD + _thought(layer, hidden_BTD)


def _last_layer(layer: Layer, hidden_BTD: Tensor, turn_TC: Tensor, last_B: Tensor) -> Tensor:
    line_B = torch.arange(len(last_B), device=last_B.device)
    read_BTD = _norm(layer.before, hidden_BTD)
    query_B1HC = _heads(linear(read_BTD[line_B, last_B][:, None], *layer.query), layer.head)
    query_BH1C = _turned(query_B1HC, turn_TC[last_B][:, None])
    key_BGTC, value_BGTC = _keys_values(layer, read_BTD, turn_TC)
    past_BT = torch.arange(len(turn_TC), device=last_B.device) <= last_B[:, None]
    seen_BH1C = scaled_dot_product_attention(
        query_BH1C,
        key_BGTC,
        value_BGTC,
        attn_mask=past_BT[:, None, None],
        enable_gqa=layer.grouped,
    )
    last_BD = hidden_BTD[line_B, last_B] + linear(seen_BH1C.flatten(1), *layer.out)
    return last_BD + _thought(layer, last_BD)


def _keys_values(layer: Layer, read_BTD: Tensor, turn_TC: Tensor) -> tuple[Tensor, Tensor]:
    both_BTNC = _heads(linear(read_BTD, *layer.key_value), layer.head)
    key_BTGC, value_BTGC = both_BTNC.chunk(2, dim=2)
    return _turned(key_BTGC, turn_TC), value_BTGC.transpose(1, 2)


def _thought(layer: Layer, hidden: Tensor) -> Tensor:
    gate, up = linear(_norm(layer.between, hidden), *layer.gate_up).chunk(2, dim=-1)
    return linear(layer.bend(gate) * up, *layer.down)


def _norm(norm: Norm, hidden: Tensor) -> Tensor:
    weight, epsilon = norm
    return rms_norm(hidden, weight.shape, weight, epsilon)


def _norm_of(norm: Any) -> Norm:
    return norm.weight, float(norm.variance_epsilon)


def _weight(layer: Any) -> Linear:
    """A linear layer with its adapters."""
    if isinstance(layer, nn.Linear):
        return layer.weight, layer.bias
    weight = layer.base_layer.weight
    for name in () if layer.disable_adapters or layer.merged else layer.active_adapters:
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        weight = torch.addmm(weight, up, down, alpha=layer.scaling[name])
    return weight, layer.base_layer.bias


def _over(upper: Linear, lower: Linear) -> Linear:
    """Two projections of the same as one."""
    weight = torch.cat([upper[0], lower[0]])
    if upper[1] is None and lower[1] is None:
        return weight, None
    return weight, torch.cat([w.new_zeros(len(w)) if b is None else b for w, b in (upper, lower)])


def _heads(flat: Tensor, head: int) -> Tensor:
    return flat.view(*flat.shape[:-1], -1, head)


def _turning(projection: Linear, head: int) -> Linear:
    """Queries or keys whose coordinates that are turned together are neighbours."""
    weight, bias = projection
    place_C = torch.arange(head, device=weight.device).view(2, head // 2).T.flatten()
    weight = weight.view(-1, head, weight.shape[1])[:, place_C].flatten(0, 1)
    return weight, None if bias is None else bias.view(-1, head)[:, place_C].flatten()


def _turned(heads_BTHC: Tensor, turn: Tensor) -> Tensor:
    """Each pair of coordinates turned by its step's angle: (B, H, T, C)."""
    pairs = torch.view_as_complex(heads_BTHC.float().view(*heads_BTHC.shape[:-1], -1, 2))
    turned = torch.view_as_real(pairs * turn[..., None, :]).flatten(-2)
    return turned.to(heads_BTHC.dtype).transpose(1, 2)
