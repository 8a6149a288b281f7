"""What needs no transformer, and what a learner has to beat to be worth its keep.

Read in this order: `protocol` (what a ranked model is, and how a log is played to it),
`full_ranking` (the frame: histories, known items, the count of a rank), `rows` (growing memory),
then the models: `popularity`, `covisitation`, `session_knn`, `blend`, `bpr`, `reco_river`, and
`lineup`, which makes them all. The metrics of their ranks are in `learner.ranking_metrics`.
"""
