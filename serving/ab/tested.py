"""A test at work: each user's list is made as their variant says, and tells which one that was."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from features.store import UserFeatures
from serving.ask import Ask
from serving.config import ServingConfig
from serving.index import ItemIndex
from serving.ranker import Ranker
from serving.recommend import Recommender
from serving.telling import Speaks
from stream.clock import Clock
from stream.events import Recommendation
from stream.variants import Assignment, Variant, VariantsConfig


class TestedRecommender(Recommender):
    """A recommender for each variant of a test, over the same items and the same model version.

    Parameters
    ----------
    test
        A test with two arms or more.
    """

    __test__ = False  # no test of ours, whatever pytest makes of the name

    def __init__(
        self,
        index: ItemIndex,
        ranker: Ranker,
        config: ServingConfig,
        clock: Clock,
        speaker: Speaks | None = None,
        *,
        test: VariantsConfig,
    ) -> None:
        super().__init__(index, ranker, config, clock, speaker)
        self._dealt = Assignment(test)
        self._arms = [
            Recommender(index, ranker, _config_of(arm, config), clock, speaker) for arm in test.arms
        ]

    def answer_many(
        self, asks: Sequence[Ask], features: Sequence[UserFeatures | None]
    ) -> list[Recommendation]:
        """Answer a micro-batch, variant by variant; the answers are in the order of the asks."""
        numbers = [self._dealt.number_of(ask.user_id) for ask in asks]
        answers: list[Recommendation | None] = [None] * len(asks)
        for number, (variant, arm) in enumerate(
            zip(self._dealt.config.arms, self._arms, strict=True)
        ):
            mine = [at for at, dealt in enumerate(numbers) if dealt == number]
            arm.ranker, arm.sponsored = self.ranker, self.sponsored
            made = arm.answer_many(
                [_as_told(asks[at], variant) for at in mine], [features[at] for at in mine]
            )
            for at, answer in zip(mine, made, strict=True):
                answers[at] = replace(answer, variant=variant.name)
        return [answer for answer in answers if answer is not None]

    def as_dealt(self, ask: Ask) -> Ask:
        """An ask as its user's variant has it answered, also where no list is made: a search."""
        number = self._dealt.number_of(ask.user_id)
        return _as_told(ask, self._dealt.config.arms[number])

    def variant_of(self, user_id: str) -> str:
        """The variant that a user was dealt."""
        return self._dealt.name_of(user_id)


def _config_of(arm: Variant, config: ServingConfig) -> ServingConfig:
    changes = {
        name: value
        for name in ("mmr_lambda", "explore_share")
        if (value := getattr(arm, name)) is not None
    }
    return replace(config, **changes)


def _as_told(ask: Ask, arm: Variant) -> Ask:
    return ask if arm.ranker == "model" else replace(ask, personal=False)
