"""How fast Tidemill is on this machine: each module one bench, run by `tidemill bench NAME`.

A bench is a function `measure(run: Run) -> Iterable[Bar]` in a module of its name. What is measured
stands beside what it is compared with, in one run: on a shared machine only ratios say something.
"""
