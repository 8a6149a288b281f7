"""Tests of the serving room; `shop.py` holds the shop that they share."""
