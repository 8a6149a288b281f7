"""Tests of the room `stream`."""
