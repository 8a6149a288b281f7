"""Rules by name."""

from __future__ import annotations

from collections.abc import Callable

from learner.behaviour import Behaviour
from learner.update_rules.adapters import Cumulative, TwoSpeeds
from learner.update_rules.distillation import Distillation
from learner.update_rules.pull import Pull, Steady
from learner.update_rules.rule import Single, UpdateRule
from learner.update_rules.whole import Full, ItemsAlone

RULES: dict[str, Callable[[Behaviour], UpdateRule]] = {
    "single": Single,
    "cumulative": Cumulative,
    "pull": Pull,
    "steady": Steady,
    "two-speeds": TwoSpeeds,
    "distillation": Distillation,
    "full": Full,
    "items": ItemsAlone,
}
"""In the order of the comparison's table."""


def make_rule(name: str, model: Behaviour) -> UpdateRule:
    """The rule of that name, for that model; it decides which weights learn.

    Examples
    --------
    >>> from learner.config import ModelConfig
    >>> model = Behaviour(ModelConfig(width=8, heads=1, layers=1), text_width=4, seed=0)
    >>> len(make_rule("items", model).learnt())
    0
    """
    if name not in RULES:
        message = f"no update rule called {name!r}: choose from {', '.join(RULES)}"
        raise ValueError(message)
    return RULES[name](model)
