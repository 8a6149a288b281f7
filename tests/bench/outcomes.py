"""What it costs to tell what became of what was shown: processor time of the joiner alone.

The simulated shop's events, and a list of ten for every tenth of them, as its shoppers ask for,
go through the agent of `features.outcomes_agent` in runs, with a table in memory and nobody to
publish to. Beside it the profile on the same events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

from features.agent import ProfileAgent
from features.catalog import Catalog
from features.interest import InterestConfig
from features.outcomes import OutcomesConfig
from features.outcomes_agent import OutcomesAgent
from features.store import MemoryStore
from stream.batching import PlainRecord, Run
from stream.clock import ManualClock
from stream.connect import KafkaConfig
from stream.events import Event, Recommendation, RecommendedItem, json_encode
from stream.forget import Forgotten
from stream.outgoing import Outgoing
from stream.shop import Shop, ShopConfig
from stream.topics import Topics

RUN = 500
K = 10
KAFKA = KafkaConfig(partitions=1)
TOPICS = Topics(KAFKA.topic_prefix)


class Nobody:
    """Takes what is published, and counts it."""

    def __init__(self) -> None:
        self.count = 0

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        del topic
        self.count += len(records)


class Table(dict[bytes, bytes]):
    """A table in memory."""


def lists_of(events: Sequence[Event], shop: Shop) -> list[tuple[int, Recommendation]]:
    """A list for every tenth event: what is asked for around it."""
    items = [item.item_id for item in shop.items()]
    made = []
    for n, event in enumerate(events):
        if n % 10 == 0:
            ids = [event.item_id, *items[n % 500 : n % 500 + K - 1]]
            answer = Recommendation(
                recommendation_id=f"tidemill.requests-0-{n}",
                request_id=f"r-{n}",
                user_id=event.user_id,
                ts_ms=event.received_ms - 1,
                items=tuple(RecommendedItem(item_id=one, score=0.123456) for one in ids),
                path="model",
                model_version=7,
            )
            made.append((n, answer))
    return made


def run_of(topic: str, part: Sequence[Event | Recommendation], start: int) -> Run:
    """Records as they come from a topic."""
    times = [one.received_ms if isinstance(one, Event) else one.ts_ms for one in part]
    return Run(
        topic,
        0,
        [
            PlainRecord(one.user_id.encode(), json_encode(one), start + n, ms)
            for n, (one, ms) in enumerate(zip(part, times, strict=True))
        ],
    )


async def measure(count: int) -> dict[str, float]:
    """Play the events; processor seconds of joiner and profile."""
    shop = Shop(seed=5, config=ShopConfig(bot_share=0, broken_share=0, duplicate_share=0))
    events = shop.clean_events(count)
    lists = lists_of(events, shop)
    nobody, table = Nobody(), Table()
    joiner = OutcomesAgent(
        kafka=KAFKA,
        table=table,
        publisher=nobody,
        config=OutcomesConfig(on=True),
        forgotten=Forgotten(),
        lock=asyncio.Lock(),
    )
    profile = ProfileAgent(
        kafka=KAFKA,
        table=Table(),
        publisher=Nobody(),
        store=MemoryStore(),
        catalog=Catalog(64),
        clock=ManualClock(0),
        interest=InterestConfig(),
    )
    spent = {"lists": 0.0, "events": 0.0, "profile": 0.0}
    given = 0
    for start in range(0, count, RUN):
        part = events[start : start + RUN]
        shown = [answer for n, answer in lists if start <= n < start + RUN]
        steps = (
            ("lists", joiner.shown, run_of(TOPICS.recommendations, shown, given)),
            ("events", joiner.acted, run_of(TOPICS.events, part, start)),
            ("profile", profile, run_of(TOPICS.events, part, start)),
        )
        given += len(shown)
        for name, take, run in steps:
            begun = time.process_time()
            await take(run)
            spent[name] += time.process_time() - begun
    return {
        "events": count,
        "lists": given,
        "outcomes": nobody.count,
        "us_per_list": 1e6 * spent["lists"] / given,
        "us_per_event": 1e6 * spent["events"] / count,
        "us_per_event_profile": 1e6 * spent["profile"] / count,
        "share_of_profile": (spent["lists"] + spent["events"]) / spent["profile"],
        "state_bytes_per_user": sum(map(len, table.values())) / len(table),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.events))
    for name, value in found.items():
        if not options.json:
            sys.stdout.write(f"{name:>22} {value:,.3g}\n")
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
