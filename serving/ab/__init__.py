"""A/B tests: what a variant earns, judged so that one may look at any time."""
