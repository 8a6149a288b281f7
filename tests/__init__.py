"""Tests, by what they need: unit, contract, flow, system."""
