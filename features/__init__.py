"""What is known of users and items now: profile state, interest shifts, online features.

Read in this order: `catalog` (items), `interest` and `shift` (where a user's interest is, and when
it moves), `profile` (what an event changes), `store` (where serving finds the result), `agent`
(the way from topic to topic). `feature_repo` holds what Feast is told; the files named for a
library (`store_feast`, `feast_*`, `drift_river`) are the only ones that import it.
"""
