"""Answering from texts: which sentence answers a question, and whether any does."""
