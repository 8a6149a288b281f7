"""How the transformer follows the stream: what moves, what holds it, and what is merged when.

Read in this order: `rule` (what a rule is asked), `adapters` (one adapter, many summed, or a quick
one over a slow one), `pull` (held near where it was), `distillation` (held to what it said),
`whole` (all weights, or the items alone), `choose` (by name). `python -m tests.bench update_rules`
compares them.
"""
