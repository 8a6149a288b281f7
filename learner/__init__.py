"""The learner: ranks every example before it learns from it, and publishes what it has learnt.

Reading order: `config` (every number), `batch` (histories as arrays), `popularity`, `neighbours`,
`returns` and `experts` (what needs no gradient), `candidates`, `evidence` and `features`,
`behaviour` (the transformer and its adapters), `stacking` (learnt weights), `correction` (small
nets, and how much each arm counts), `ranker` (all of it as one model), `online` (test, then train),
`update_rules` (how the transformer follows), `influence` and `late` (what does not teach, or not
yet), `drift` and `novelty`, `gate` and `referee` (what is published), `scorer` (the same model as
serving runs it), `snapshot` (on disk), `prequential` and `baselines` (the honest table),
`sequences`, `pretraining` and `base` (a start from a recorded log), `agent` (the only file that
knows Kafka).
"""
