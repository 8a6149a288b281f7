"""Variants of an A/B test: which shopper gets which, and what about it differs.

A user's variant is a function of the test's salt and the user alone: every process, now and at a
replay, comes to the same one without asking anybody. Another salt deals anew.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream.errors import SettingsError

_WHOLE = 1 << 64

CONTROL = "model"
"""What everybody gets where no test is on."""


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arm of a test: `None` leaves what `serving.*` says."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")]
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    ranker: Literal["model", "popularity"] = "model"
    mmr_lambda: Annotated[float, Meta(ge=0, le=1)] | None = None
    explore_share: Annotated[float, Meta(ge=0, le=0.5)] | None = None


class VariantsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An A/B test; the first variant is the control, which the others are compared with."""

    salt: Annotated[
        str, Meta(max_length=64, description="another one deals all users to variants anew")
    ] = "1"
    arms: Annotated[
        tuple[Variant, ...],
        Meta(
            max_length=8,
            description="the variants, a JSON list of objects with name, weight, ranker (model or "
            "popularity), mmr_lambda, explore_share; empty: no test",
        ),
    ] = ()
    learn_from: Annotated[
        Literal["all", "control"],
        Meta(
            description="whose events teach: all users', or only those whose variant is the "
            "control, so that what another variant shows doesn't teach the model that it is "
            "compared with"
        ),
    ] = "all"

    def __post_init__(self) -> None:
        """Refuse two arms of one name, and a test with one arm."""
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                msg = f"ab.arms holds {name!r} twice: give each variant a name of its own"
                raise SettingsError(msg)
        if len(names) == 1:
            msg = f"ab.arms holds {names[0]!r} alone: add what it is compared with, or empty it"
            raise SettingsError(msg)


NO_TEST = VariantsConfig()


def everybody(_user_id: str) -> bool:
    """Say yes: all users' events teach."""
    return True


class Assignment:
    """Deals users to variants.

    Examples
    --------
    >>> even = Assignment(VariantsConfig(arms=(Variant(name="model"), Variant(name="popularity"))))
    >>> even.name_of("ada"), even.name_of("ada") == even.name_of("ada")
    ('popularity', True)
    >>> Assignment(VariantsConfig()).name_of("ada")
    'model'
    """

    def __init__(self, config: VariantsConfig) -> None:
        self.config = config
        self._salt = blake2b(config.salt.encode(), digest_size=16).digest()
        total = sum(arm.weight for arm in config.arms)
        self._ends = list(accumulate(arm.weight / total for arm in config.arms))

    def number_of(self, user_id: str) -> int:
        """The place of a user's variant among `config.arms`; 0 where no test is on."""
        return min(bisect_right(self._ends, self.draw(user_id)), max(len(self._ends) - 1, 0))

    def name_of(self, user_id: str) -> str:
        """The name of a user's variant."""
        arms = self.config.arms
        return arms[self.number_of(user_id)].name if arms else CONTROL

    def teaches(self, user_id: str) -> bool:
        """Whether a user's events teach the model."""
        return self.config.learn_from == "all" or self.number_of(user_id) == 0

    def draw(self, user_id: str) -> float:
        """A number from 0 to below 1, the same for a user and a salt for ever, else independent."""
        found = blake2b(user_id.encode(), digest_size=8, key=self._salt).digest()
        return int.from_bytes(found, "big") / _WHOLE
