"""The product's own agents on a broker, a clock and a loop that a seed decides.

Nothing here waits or runs by itself. A simulation draws one step after the other: a worker comes to
its next await, crashes there, is declared dead and wakes again; records are sent; the broker or the
store is away. At the end everything is brought up and drained, and the verdict of the chaos run
judges what is left. The same seed takes the same steps, byte for byte.

Reading order: `loop` (coroutines, one await at a time), `broker` (logs, groups, a publisher),
`table` (a table with its changelog), `profile_worker`, `learner_worker`, `serving_worker` (what a
process of each role is), `shop` (what is sent), `world` (the draw, the drain, the verdict).
"""
