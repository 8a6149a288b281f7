"""The agent of the profile: `events` in, user state, features, examples and shifts out.

Its neighbour on the same states, `features.readings_agent`, hears what reviews say. Another one,
`features.outcomes_agent`, is handed each run of `events` after the profile is through with it.

When an offset counts as done: after everything that follows from its run is written.

1. The run's events are decoded and applied, user by user, to the states in the table, and all that
   follows is made ready: no record can fail from here on.
2. Each user's row goes to the online store, which is asked first whether it has lost any
   (`features.store_witness`).
3. Examples, interest shifts and users in words are published and acked.
4. Each user's state is written to the table, once.
5. The run is acknowledged, after the table's changelog is on the broker.

A crash before 4 repeats the run on the old states: the same rows and, up to what the catalogue has
learnt meanwhile, the same examples and shifts are written again. The store takes whole rows and the
learner recognises examples by their offset, so a repeat changes nothing. A crash between 4 and 5
repeats the run on the new states, which have seen its events: the same rows and states are written
once more, which also mends a changelog that the crash left behind the local table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Protocol

from features.catalog import Catalog
from features.catalog_follow import CatalogFollower, Reads
from features.decode_events import decode_events
from features.drift_river import PageHinkleyDetector
from features.forget import ForgetAgent
from features.interest import InterestConfig, ItemSpace
from features.outcomes import OutcomesConfig
from features.outcomes_agent import add_outcomes
from features.profile import AppliedAll, InterestModel, Users, apply_all, features
from features.profile_state import EMPTY, Profile, decode, encode, is_older
from features.readings_agent import ROLE as READINGS
from features.readings_agent import ReadingsAgent, States
from features.store import OnlineStore, UserFeatures
from features.store_witness import Witness
from features.words import Describer
from stream.app import StreamApp, bytes_table, guarded, run_topic
from stream.batching import Run
from stream.broadcast import BroadcastReader
from stream.choices import Choices
from stream.choices_follow import follow_choices
from stream.clock import Clock
from stream.connect import KafkaConfig
from stream.events import Event, Example, ProfileText, msgpack_encode
from stream.forget import Forgotten
from stream.forget_follow import ForgetFollower, follow_forget
from stream.metrics import (
    EVENT_AGE_SECONDS,
    INTEREST_SHIFTS,
    PROFILE_EVENTS,
    PROFILE_TEXTS,
    PROFILE_USERS,
    RUN_RECORDS,
    RUN_SECONDS,
)
from stream.outgoing import Outgoing, Publishes
from stream.refusals import Refusals
from stream.scrub import scrub, scrub_copies
from stream.tenants import ONE_SHOP, told
from stream.topics import Topics

ROLE = "profile"

AGES_PER_RUN = 32
"""Events of a run whose age is measured, evenly spread: measuring all would cost a tenth."""


class Table(States, Protocol):
    """What the profile needs of a Faust table."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """All keys and values of the partitions that this process has."""

    def __delitem__(self, key: bytes, /) -> None:
        """Delete a key, whether it is there or not."""


@dataclass
class _Outcome:
    """What a run brings about, before any of it is written."""

    rows: list[UserFeatures] = field(default_factory=list)
    states: list[tuple[bytes, bytes | None, bytes]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    shifts: list[Outgoing] = field(default_factory=list)
    words: list[Outgoing] = field(default_factory=list)
    repeated: int = 0
    forgotten: int = 0
    opted_out: int = 0
    new_users: int = 0


class ProfileAgent:
    """The agent's function, free of Faust: `await agent(run)`.

    Raises `Unavailable` where the broker or the store is away; the same run may then be given
    again. Raises `Halt` where a state can't be read. Whatever else it raises is about a record:
    nothing of the run is written then, and `stream.refusals` finds the record.
    """

    def __init__(
        self,
        *,
        kafka: KafkaConfig,
        table: Table,
        publisher: Publishes,
        store: OnlineStore,
        catalog: Catalog,
        clock: Clock,
        interest: InterestConfig,
        forgotten: Forgotten | None = None,
        choices: Choices | None = None,
    ) -> None:
        self._choices = Choices() if choices is None else choices
        self.lock = asyncio.Lock()
        self.witness = Witness(store, table.items)
        self._forgotten = Forgotten() if forgotten is None else forgotten
        self._topics = Topics(kafka.topic_prefix)
        self._table = table
        self._publisher = publisher
        self._store = store
        self._clock = clock
        self.space = ItemSpace(catalog)
        self._model = InterestModel(self.space, PageHinkleyDetector(interest), interest)
        self.describer = Describer(self._model) if interest.describe else None

    async def __call__(self, run: Run) -> None:
        """Take a run through all its steps but the acknowledgement."""
        async with self.lock:  # nobody is forgotten between the reading and the writing of states
            await self._take(run)

    def prepare(self, run: Run) -> None:
        """Find out whether a run can be applied; nothing is written."""
        self._apply(run)

    async def _take(self, run: Run) -> None:
        started_s = self._clock.monotonic_s()
        # 1. What the run brings about.
        outcome = self._apply(run)
        # 2. Rows for serving. A crash from here to 4 repeats them.
        await self.witness.check([run.partition])
        rows = [*outcome.rows, self.witness.mark(run)]
        await asyncio.to_thread(self._store.write, rows)
        self.witness.wrote(run)
        # 3. What others read. A crash from here to 4 publishes it twice.
        await self._publisher.publish(self._topics.examples, outcome.outgoing)
        await self._publisher.publish(self._topics.interest_shifts, outcome.shifts)
        await self._publisher.publish(self._topics.profiles, outcome.words)
        # 4. States, which remember that their events were applied.
        for key, before, state in outcome.states:
            held = self._table.get(key)
            # A rebalance amid the run may have brought in what another worker made of later events.
            if held is None or held == before or not is_older(state, held):
                self._table[key] = state
        self._count(run, outcome, self._clock.monotonic_s() - started_s)

    def _apply(self, run: Run) -> _Outcome:
        outcome = _Outcome()
        by_user: dict[str, list[tuple[int, Event]]] = {}
        events = decode_events(run)
        for record, event in zip(run.records, events, strict=True):
            if self._forgotten.covers(event.user_id, event.received_ms):
                outcome.forgotten += 1
                continue
            if self._choices.opted_out(event.user_id):
                outcome.opted_out += 1
                continue
            by_user.setdefault(event.user_id, []).append((record.offset, event))
        keys = [user_id.encode() for user_id in by_user]
        held = [self._table.get(key) for key in keys]
        before = [EMPTY if state is None else decode(state) for state in held]
        users = list(zip(before, by_user.values(), strict=True))
        applied = apply_all(users, run.partition, self._model)
        described = self._described(by_user, users, applied, run.partition)
        each = zip(by_user, keys, held, applied, described, strict=True)
        for user_id, key, state, done, (profile, text) in each:
            if text is not None:
                outcome.words.append(Outgoing(key, told(text, user_id)))
            outcome.examples += done.examples
            outcome.shifts += [Outgoing(key, told(shift, user_id)) for shift in done.shifts]
            # Written even where every event is a repeat: after a kill the local table can be ahead
            # of its changelog, and only a write brings the changelog up to it.
            outcome.rows.append(features(user_id, profile))
            outcome.states.append((key, state, encode(profile)))
        outcome.new_users = held.count(None)
        passed = outcome.forgotten + outcome.opted_out
        outcome.repeated = len(run.records) - passed - len(outcome.examples)
        # The learner expects offsets to grow along a partition.
        outcome.examples.sort(key=attrgetter("offset"))
        outcome.outgoing = [
            Outgoing(e.user_id.encode(), msgpack_encode(e), partition=run.partition)
            for e in outcome.examples
        ]
        return outcome

    def _described(
        self, user_ids: Iterable[str], users: Users, applied: Sequence[AppliedAll], partition: int
    ) -> Sequence[tuple[Profile, ProfileText | None]]:
        if self.describer is None:
            return [(done.profile, None) for done in applied]
        return self.describer.after(user_ids, users, applied, partition)

    def _count(self, run: Run, outcome: _Outcome, seconds: float) -> None:
        RUN_RECORDS.labels(stage=ROLE).observe(len(run.records))
        RUN_SECONDS.labels(stage=ROLE).observe(seconds)
        PROFILE_EVENTS.labels(outcome="applied").inc(len(outcome.examples))
        PROFILE_EVENTS.labels(outcome="repeated").inc(outcome.repeated)
        PROFILE_EVENTS.labels(outcome="forgotten").inc(outcome.forgotten)
        PROFILE_EVENTS.labels(outcome="opted_out").inc(outcome.opted_out)
        PROFILE_USERS.inc(outcome.new_users)
        INTEREST_SHIFTS.inc(len(outcome.shifts))
        PROFILE_TEXTS.inc(len(outcome.words))
        now_ms = self._clock.now_ms()
        age_s = EVENT_AGE_SECONDS.labels(stage="state")
        applied = outcome.examples
        for example in applied[:: max(1, len(applied) // AGES_PER_RUN)]:
            age_s.observe(max(0, now_ms - example.received_ms) / 1000)


def add_profile(
    app: StreamApp,
    *,
    kafka: KafkaConfig,
    publisher: Publishes,
    store: OnlineStore,
    catalog: Catalog,
    clock: Clock,
    interest: InterestConfig | None = None,
    outcomes: OutcomesConfig | None = None,
    reader: Reads | None = None,
    tenants: Collection[str] = ONE_SHOP,
) -> None:
    """Put the profile on an app: its table, its agent, and the task that follows the catalogue.

    Parameters
    ----------
    store
        Where rows go; called in a worker thread. Whoever made it closes it.
    catalog
        The items, filled and kept up to date from `item-vectors` by this app.
    reader
        Where the items come from, a `BroadcastReader` of `item-vectors` unless given.
    tenants
        The shops beside the one without a name.
    """
    topics = Topics(kafka.topic_prefix)
    reader = reader or BroadcastReader(kafka, topics.item_vectors)
    follower = CatalogFollower(reader, catalog)
    refusals = Refusals(ROLE, kafka, publisher, clock)
    table = bytes_table(app, "profiles", kafka.partitions, older=is_older)
    forgotten, choices = Forgotten(), Choices(tenants)
    choosing = follow_choices(app, kafka, choices)
    tables = [table]
    interest = interest or InterestConfig()
    agent = ProfileAgent(
        kafka=kafka,
        table=table,
        publisher=publisher,
        store=store,
        catalog=catalog,
        clock=clock,
        interest=interest,
        forgotten=forgotten,
        choices=choices,
    )
    joiner = None
    if outcomes is not None and outcomes.on:
        joiner = add_outcomes(
            app,
            kafka=kafka,
            publisher=publisher,
            config=outcomes,
            forgotten=forgotten,
            choices=choices,
            lock=agent.lock,
            clock=clock,
        )
        tables.append(joiner.table)
    readings_agent = ReadingsAgent(
        kafka=kafka,
        table=table,
        publisher=publisher,
        store=store,
        space=agent.space,
        interest=interest,
        forgotten=forgotten,
        lock=agent.lock,
        describer=agent.describer,
        choices=choices,
    )
    forgetting = _add_forgetting(
        app,
        kafka=kafka,
        tables=tables,
        publisher=publisher,
        store=store,
        forgotten=forgotten,
        lock=agent.lock,
        clock=clock,
        tenants=tenants,
    )

    async def profile(run: Run) -> None:
        await follower.loaded.wait()  # events before items would pull no interests
        await agent(run)
        if joiner is not None:
            await joiner.acted(run)

    def prepare(run: Run) -> None:
        agent.prepare(run)
        if joiner is not None:
            joiner.prepare_acted(run)

    async def readings(run: Run) -> None:
        await follower.loaded.wait()
        await readings_agent(run)

    async def partitions_come(committed: Mapping[Any, int | None]) -> Mapping[Any, int]:
        mine = {tp.partition: at for tp, at in committed.items() if tp.topic == topics.events}
        agent.witness.expect(mine)
        if joiner is not None:
            joiner.moved()
        await asyncio.gather(forgetting.load(), choosing.load())
        return {}

    async def heal_store(_: Any = None) -> None:
        try:
            await agent.witness.follow(agent.lock, lambda: app.ready, app.stopping)
        except Exception as error:
            app.fail(error)

    async def follow_catalogue(_: Any = None) -> None:
        try:
            await follower.follow(app.stopping)
        except Exception as error:
            app.fail(error)

    app.agent(run_topic(app, topics.events), name=ROLE)(guarded(app, refusals, prepare)(profile))
    app.agent(run_topic(app, topics.readings), name=READINGS)(
        guarded(app, Refusals(READINGS, kafka, publisher, clock), readings_agent.prepare)(readings)
    )
    # Before a partition's events are read, and anew whenever partitions move.
    app.start_offsets = partitions_come
    app.task(follow_catalogue)
    app.task(heal_store)


def _add_forgetting(  # noqa: PLR0913 - what forgetting erases
    app: StreamApp,
    *,
    kafka: KafkaConfig,
    tables: Sequence[Any],
    publisher: Publishes,
    store: OnlineStore,
    forgotten: Forgotten,
    lock: asyncio.Lock,
    clock: Clock,
    tenants: Collection[str],
) -> ForgetFollower:
    """Put on an app what erases users from its tables, and knows in every worker who they are."""

    async def scrub_users(keys: Sequence[bytes]) -> None:
        for table in tables:
            await scrub_copies(app, table, keys)

    async def scrub_all(partition: int) -> None:
        for table in tables:
            await scrub(table, partition)

    agent = ForgetAgent(
        kafka=kafka,
        tables=tables,
        scrub=scrub_all,
        publisher=publisher,
        store=store,
        forgotten=forgotten,
        lock=lock,
        clock=clock,
        tenants=tenants,
    )

    async def forget(run: Run) -> None:
        await agent(run)

    topic = run_topic(app, Topics(kafka.topic_prefix).forget)
    app.agent(topic, name="forget")(guarded(app)(forget))
    return follow_forget(app, kafka, forgotten, scrub_users)
