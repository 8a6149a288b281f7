"""Drafts of a language model: the likeliest first, then drawn ones, a sentence each.

Legend: `N` drafts, `S` pieces, `V` pieces of the vocabulary.

Drafts may be held to the words of the facts and to those that claim nothing, piece by piece
(constrained decoding; Hokamp and Liu, ACL 2017): what is let through afterwards is the checker's
business all the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from learner.texts.facts import Facts
from learner.texts.lexicon import LEXICA, Language
from learner.texts.pieces import Pieces

_MARKS = ".,:'-"
_HEAT = 0.7
"""Below 1 what is likely is drawn oftener: small models are rarely right where they are bold."""


class Drawer:
    """Draws drafts from a model of `transformers`.

    Parameters
    ----------
    longest
        Pieces of a draft at most.
    seed
        Two with one seed draw alike.
    """

    def __init__(
        self, model: Any, pieces: Pieces, two_sided: bool, longest: int, seed: int
    ) -> None:
        self._model = model
        self._pieces = pieces
        self._two_sided = two_sided
        self._longest = longest
        self._draws = torch.Generator().manual_seed(seed)

    def draw(self, asked: list[int], drafts: int, allowed_V: Tensor | None) -> list[list[int]]:
        """So many drafts as pieces, after what is asked; of allowed pieces only, if given."""
        from transformers import GenerationConfig  # noqa: PLC0415 - only who writes texts needs it

        begin = 0 if self._two_sided else len(asked)
        device = self._model.device
        shape = self._model.config
        found: list[list[int]] = []
        for number, drawn in ((1, False), (drafts - 1, True)):
            if number < 1:
                continue
            how = GenerationConfig(
                max_new_tokens=self._longest,
                do_sample=drawn,
                num_return_sequences=number,
                temperature=_HEAT if drawn else None,
                top_k=0 if drawn else None,
                eos_token_id=self._pieces.end,
                pad_token_id=self._pieces.filling,
                bos_token_id=getattr(shape, "bos_token_id", None),
                decoder_start_token_id=getattr(shape, "decoder_start_token_id", None),
            )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**62, (1,), generator=self._draws)))
                rows = self._model.generate(
                    input_ids=torch.tensor([asked], device=device),
                    attention_mask=torch.ones(1, len(asked), dtype=torch.long, device=device),
                    generation_config=how,
                    logits_processor=[] if allowed_V is None else [_Only(allowed_V.to(device))],
                    stopping_criteria=[_Whole(self._pieces, begin, device)],
                )
            found += [row[begin:] for row in rows.tolist()]
        return found


def allowed(facts: Facts, language: Language, pieces: Pieces) -> Tensor:
    """Which pieces the words are made of that a sentence about an item may have, (V,)."""
    lexicon = LEXICA[language]
    fields = [facts.title, facts.brand, *facts.category, *facts.sentences, facts.reason]
    if facts.price is not None:
        fields.append(f"{facts.price:.2f}")
    words = {word for text in fields for word in text.split()}
    words |= {*facts.said, *lexicon.neutral, *lexicon.passing, *lexicon.roles, *_MARKS}
    allowed_V = torch.zeros(pieces.count, dtype=torch.bool)
    for word in words:
        for form in (word, f" {word}", word.capitalize(), f" {word.lower()}"):
            allowed_V[pieces.of(form)] = True
    unknown = pieces.unknown()
    if unknown is not None:
        allowed_V[unknown] = False
    allowed_V[pieces.end] = True
    return allowed_V


class _Only:
    """Lets only some pieces be said."""

    def __init__(self, allowed_V: Tensor) -> None:
        self._allowed_V = allowed_V

    def __call__(self, _: Tensor, scores_NV: Tensor) -> Tensor:
        held_NV = torch.full_like(scores_NV, -torch.inf)
        count = len(self._allowed_V)
        held_NV[:, :count] = scores_NV[:, :count].masked_fill(~self._allowed_V, -torch.inf)
        return held_NV


class _Whole:
    """Whether a draft's first sentence is written: a stop after a digit may be a point."""

    def __init__(self, pieces: Pieces, begin: int, device: Any) -> None:
        self._begin = begin
        self._stops = torch.tensor(sorted(pieces.stops), device=device)
        self._digits = torch.tensor(sorted(pieces.digits), device=device)

    def __call__(self, rows_NS: Tensor, *_: Any, **__: Any) -> Tensor:
        ended_N = torch.isin(rows_NS[:, -1], self._stops)
        if rows_NS.shape[1] < self._begin + 2:
            return torch.zeros_like(ended_N)
        return ended_N & ~torch.isin(rows_NS[:, -2], self._digits)
