"""Measurements of the product, each a module of its own: `python -m tests.bench NAME`."""
