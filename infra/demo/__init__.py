"""The demo: a shop plays on the whole stack, the screen shows it, an audit proves it.

Read `play.py` (who sends what, at which rate), `audit.py` and `freshness.py` (what became of every
record, from the topics alone), `view.py` with `watch.py` (the screen), then `command.py`, which
runs one after the other.
"""
