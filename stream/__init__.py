"""Kafka in: events, topics, the micro-batch transport, ingest. Read `events.py` first."""
