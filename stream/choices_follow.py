"""Following `choices` in every worker: who isn't to be personalised."""

from __future__ import annotations

from stream.app import StreamApp
from stream.broadcast import BroadcastReader
from stream.choices import Choices
from stream.connect import KafkaConfig
from stream.follow import Follower, Follows, keep_following
from stream.topics import Topics

POLL_S = 0.25
"""How long one look may wait: it ends with the first record."""


class ChoicesFollower(Follower):
    """Keeps `Choices` as the topic is."""

    def __init__(self, reader: Follows, choices: Choices) -> None:
        what = "who isn't to be personalised"
        super().__init__(reader, choices.take, what, poll_s=POLL_S, pause_s=0)


def follow_choices(app: StreamApp, kafka: KafkaConfig, choices: Choices) -> ChoicesFollower:
    """Put a follower of `choices` on an app, as a task; `load` is the caller's to await."""
    follower = ChoicesFollower(BroadcastReader(kafka, Topics(kafka.topic_prefix).choices), choices)
    keep_following(app, follower)
    return follower
