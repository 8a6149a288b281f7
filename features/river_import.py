"""Importing River's detectors without scikit-learn, scipy, pandas and SQLAlchemy.

`river.drift` has data sets to try detectors on, and one test that we don't use needs scipy: four
fifths of what the import takes.
"""

from __future__ import annotations

from stream.stand_ins import deferred, slim, stand_ins

with stand_ins(slim("river.drift.datasets"), slim("scipy", stats=deferred("scipy.stats"))):
    from river import drift

__all__ = ["drift"]
