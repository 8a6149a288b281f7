"""The chaos run: the whole stack, broken on purpose, and compared with a single-pass reference.

Reading order: `schedule` (what is done to whom, when), `director` (does it), `roles`, `cluster`,
`proxy`, `redis`, `disk` (what can be broken), `worker` (a role that can be told to die at a point),
`producer` (what is sent meanwhile), `watch` (lag and recovery), `run` (all of it, in order),
`verdict` (what came of it).
"""
