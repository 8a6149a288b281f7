"""Arms that were dealt as asked raise no alarm; a small loss in one of them does."""

from __future__ import annotations

import numpy as np

from serving.ab.balance import LEAST_ODDS, mismatch_odds


def alarmed(rng: np.random.Generator, shares: tuple[float, float], days: int = 40) -> bool:
    """Whether a test raised the alarm on any day."""
    users = np.zeros(2, int)
    for _ in range(days):
        users = users + rng.multinomial(2_500, shares)
        if mismatch_odds(users.tolist(), (9, 1)) > LEAST_ODDS:
            return True
    return False


def test_of_a_thousand_tests_looked_at_daily_hardly_one_is_called_mismatched() -> None:
    rng = np.random.default_rng(1)
    assert sum(alarmed(rng, (0.9, 0.1)) for _ in range(1_000)) <= 1_000 / LEAST_ODDS + 3


def test_a_variant_that_loses_a_tenth_of_its_users_is_noticed() -> None:
    rng = np.random.default_rng(2)
    assert all(alarmed(rng, (0.91, 0.09)) for _ in range(50))
