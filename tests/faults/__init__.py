"""Tests that stop a role at a named point, and what such tests share.

Read `points.py` first, then `worker.py`.
"""
