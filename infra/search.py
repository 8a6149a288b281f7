"""Searching a shop from outside, as its own pages would; and what was searched and not found."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from kafka import KafkaProducer

from infra.demo.reading import open_reader, partitions_of, read_topic
from stream.connect import KafkaConfig
from stream.errors import Unavailable
from stream.events import Recommendation, Request, decode_recommendation, json_encode
from stream.topics import Topics

POLL_MS = 100

_CUSTOMER = "tidemill-search"
"""Who searches where no user is named: nobody, with no past."""


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A query of which no item has a word, and how often it was asked."""

    query: str
    times: int


def search(
    kafka: KafkaConfig,
    request: Request,
    timeout_s: float,
) -> Recommendation:
    """Send a request, and wait for its answer.

    Raises
    ------
    Unavailable
        If there is no answer in time.
    """
    topics = Topics(kafka.topic_prefix)
    consumer = open_reader(kafka)
    producer = KafkaProducer(**kafka.client_settings(), linger_ms=0)
    try:
        places = partitions_of(consumer, [topics.recommendations])
        consumer.assign(places)
        consumer.seek_to_end(*places)
        for place in places:
            consumer.position(place)
        producer.send(topics.requests, key=request.user_id.encode(), value=json_encode(request))
        producer.flush(timeout=timeout_s)
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            for records in consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    answer = decode_recommendation(record.value)
                    if answer.request_id == request.request_id:
                        return answer
    finally:
        producer.close(timeout=5)
        consumer.close()
    message = f"no answer in {timeout_s:g} s: is the serving role at work? (tidemill doctor)"
    raise Unavailable(message)


def request_for(query: str, user_id: str = "", tenant: str = "", **more: Any) -> Request:
    """A request for a search, under an id of its own."""
    return request_of(user_id or _CUSTOMER, tenant, query=query, **more)


def request_of(user_id: str, tenant: str = "", **fields: Any) -> Request:
    """A request under an id of its own."""
    made = {"request_id": uuid.uuid4().hex, "user_id": user_id, **fields}
    if tenant:
        made["tenant"] = tenant
    return msgspec.convert(made, Request)


def misses(kafka: KafkaConfig, newest: int, tenant: str = "") -> list[Miss]:
    """The queries of a shop of which no item has a word, the most frequent first."""
    topic = Topics(kafka.topic_prefix).recommendations
    answers = (decode_recommendation(record.value or b"") for _, record in read_topic(kafka, topic))
    return counted(one for one in answers if (one.tenant or "") == tenant)[:newest]


def counted(answers: Iterable[Recommendation]) -> list[Miss]:
    """Count queries of which no item has a word, however they are written.

    >>> from stream.events import Searched
    >>> def answer(query, *items, **more):
    ...     return Recommendation(recommendation_id="r", request_id="q", user_id="u", ts_ms=0,
    ...         items=items, path="model", model_version=1, search=Searched(query=query, **more))
    >>> counted([answer("Sofa "), answer("sofa"), answer("tea"), answer("tex", suggest=True)])
    [Miss(query='sofa', times=2), Miss(query='tea', times=1)]
    """
    asked = Counter(
        " ".join((answer.search.corrected_from or answer.search.query).casefold().split())
        for answer in answers
        if isinstance(answer.search, msgspec.Struct)
        and not answer.search.suggest
        and not answer.search.total
    )
    return [Miss(query=query, times=times) for query, times in asked.most_common() if query]
