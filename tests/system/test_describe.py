"""`tidemill describe` on a broker: the item's newest record, and what its shoppers agree on."""

from __future__ import annotations

import json

from click.testing import CliRunner
from kafka import KafkaProducer

from infra.cli import cli
from stream.connect import KafkaConfig
from stream.topics import Topics


def test_an_item_is_described_by_its_record_and_its_reviews(kafka_config: KafkaConfig) -> None:
    topics = Topics(kafka_config.topic_prefix)
    producer = KafkaProducer(**kafka_config.client_settings())
    for title in ("Pot", "Iron tea pot"):
        item = {"item_id": "pot-1", "title": title, "category": ["Tea"], "price": 39}
        producer.send(topics.items, key=b"pot-1", value=json.dumps(item).encode())
    for user, text in (("ada", "Sturdy!"), ("bob", "so sturdy"), ("cy", "sturdy, not pretty")):
        review = {"user_id": user, "item_id": "pot-1", "ts": 1_700_000_000_000, "text": text}
        producer.send(topics.reviews, value=json.dumps(review).encode())
    producer.flush()
    producer.close()
    where = ["--bootstrap-servers", kafka_config.bootstrap_servers]
    where += ["--prefix", kafka_config.topic_prefix]
    said = CliRunner().invoke(cli, ["describe", "pot-1", *where], catch_exceptions=False)
    assert said.output == "Iron tea pot, in Tea, for 39.00. Shoppers call it sturdy.\n"
    gone = CliRunner().invoke(cli, ["describe", "pot-2", *where])
    assert gone.exit_code == 1
