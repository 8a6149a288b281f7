"""What the topics say of people at this moment, for commands."""

from __future__ import annotations

from typing import NamedTuple

from infra.demo.reading import read_topic
from stream.choices import Choices
from stream.connect import KafkaConfig
from stream.forget import Forgotten
from stream.topics import Topics


class People(NamedTuple):
    """Whose events of before aren't to be read, and who isn't to be personalised."""

    forgotten: Forgotten
    choices: Choices

    def tell_of(self, user_id: str, received_ms: int) -> bool:
        """Whether what was received of a user at a time may be told to others."""
        gone = self.forgotten.covers(user_id, received_ms)
        return not gone and not self.choices.opted_out(user_id)


def read_people(kafka: KafkaConfig, tenant: str = "") -> People:
    """Read `forget` and `choices`: those of the shop without a name, and of one more."""
    topics = Topics(kafka.topic_prefix)
    people = People(Forgotten(), Choices({tenant} - {""}))
    for placed in read_topic(kafka, topics.forget):
        people.forgotten.take(placed.place.partition, [placed.record])
    for placed in read_topic(kafka, topics.choices):
        people.choices.take(placed.record)
    return people
