"""What the topics say of people at this moment, for commands."""

from __future__ import annotations

from infra.demo.reading import read_topic
from stream.choices import Choices
from stream.connect import KafkaConfig
from stream.topics import Topics


def opted_out(kafka: KafkaConfig, tenant: str = "") -> Choices:
    """Who isn't to be personalised, of all shops or of one more."""
    choices = Choices({tenant} - {""})
    for placed in read_topic(kafka, Topics(kafka.topic_prefix).choices):
        choices.take(placed.record)
    return choices
