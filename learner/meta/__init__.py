"""Learning from little: what a user, a class or a shop is like after a few examples.

Read in this order: `config` (every number), `prototypes` (a class is the mean of its examples, in a
learnt space), `maml` (a head that a few gradient steps make a user's own), `ratings` and `taste`
(two such heads: what a user gives, what a user takes), `trained` (what `tidemill pretrain --meta`
keeps in the base's folder), `cold` (what both say of candidates), `newcomers` (the layer that ranks
for users with few events). `python -m tests.bench few_shot` measures each.
"""
