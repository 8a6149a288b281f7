"""The learner: ranks every example before it learns from it, and publishes what it has learnt.

Reading order: `config` (every number), `batch` (histories as arrays), `popularity`, `neighbours`
and `experts` (what needs no gradient), `candidates` and `features`, `behaviour` (the transformer
and its adapters), `correction` (the small net), `ranker` (all of it as one model), `online`
(test, then train), `scorer` (the same model as serving runs it), `snapshot` (on disk),
`prequential` and `baselines` (the honest table), `sequences`, `pretraining` and `base` (a start
from a recorded log), `agent` (the only file that knows Kafka).
"""
