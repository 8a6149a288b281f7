"""Forgetting users: who does what in which order, and how it is known to be done.

1. The users are written to `forget`: from now on, what they did before is dropped on its way.
2. The profile and the learner read it, erase what they have, and commit: that is their report.
3. What was on its way arrives and is dropped: every topic of before is read to its end.
4. The users' dead letters go; those of others stay.
5. The topics that only carry records lose what everybody has read, of all users alike.
6. The tombstones in the changelog of the profile, on `profiles` and on `conversations` do their
   work, and go as well.
7. At last, the records on `forget` go: nothing names the users any more.

Each step may be done again, so a run that was stopped anywhere is repaired by the next one: until
7, `forget` says for whom. Only the broker's own deletions take time: it looks for segments to
delete every `log.retention.check.interval.ms` (5 minutes where nobody changed it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
from kafka import KafkaAdminClient, TopicPartition

from infra.demo.reading import read_topic
from infra.forget_letters import keep_others
from infra.forget_topics import (
    COMPACT,
    HURRY,
    Shrinking,
    committed,
    ends,
    firsts,
    partitions,
    roll,
    roll_compacted,
    settings,
    trim,
    unread,
)
from infra.replay import Sender
from infra.topic_admin import connect, partition_counts
from stream.connect import KafkaConfig
from stream.errors import BadRecord, Halt, Unavailable
from stream.events import Forget, json_encode
from stream.forget import parse_forget, whom
from stream.publish import partition_of
from stream.tenants import outside
from stream.topics import RAW_EVENT_TOPICS, Topics

CARRIERS = (
    *RAW_EVENT_TOPICS,
    "requests",
    "events",
    "examples",
    "readings",
    "interest-shifts",
    "recommendations",
    "outcomes",
    "hand-overs",
)
"""The topics that carry users' records from one room to the next, and keep them for a time only."""

STATES, SHOWS = "ingest-profile-profiles-changelog", "ingest-profile-outcomes-changelog"
"""The changelogs of what is kept of users, and of the lists that they were shown."""

COMPACTED = (
    STATES,
    SHOWS,
    "profiles",
    "conversations",
)
"""The compacted topics with records of users; a changelog is there where its table is."""

LOOK_S = 0.5
"""Pause between two looks at how far something is."""

COMPACT_S = 10.0
"""Pause between two looks whether a tombstone is gone: the whole topic is read for it."""

Report = Callable[[str, str], None]
"""Told of each step: its name, and what came of it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to forget.

    Attributes
    ----------
    keep_records
        Leave the topics that carry records as they are: their retention time removes them.
    ignored_groups
        Consumer groups that aren't waited for, such as those nobody uses any more.
    outcomes
        The profile reads `recommendations`, and the learner `outcomes`. Where they only did so
        once, their offsets there are of no account.
    timeout_s
        For everything together.
    """

    keep_records: bool = False
    ignored_groups: frozenset[str] = frozenset()
    outcomes: bool = False
    timeout_s: float = 900.0


class Outcome(msgspec.Struct, kw_only=True):
    """What was done, in numbers."""

    users: int = 0
    letters_erased: int = 0
    letters_unsure: int = 0
    records_trimmed: int = 0
    seconds: float = 0.0


class Forgetting:
    """One run of `tidemill forget`.

    Parameters
    ----------
    kafka
        The broker and the topics' prefix.
    options
        How.
    report
        Told of each step.

    Raises
    ------
    Unavailable
        By `run`, if something isn't done in time; what is missing is said. The next run goes on.
    """

    def __init__(self, kafka: KafkaConfig, options: Options, report: Report) -> None:
        self._kafka = kafka
        self._options = options
        self._report = report
        self._topics = Topics(kafka.topic_prefix)
        self._deadline_s = time.monotonic() + options.timeout_s
        self._outcome = Outcome()

    def run(self, users: Collection[str]) -> Outcome:
        """Forget users, by their whole ids, and all others whom `forget` still names."""
        started_s = time.monotonic()
        with connect(self._kafka) as admin:
            self._check_topics(admin)
            self._ask(users)
            while True:
                asked = self._ends(admin, "forget")  # before: who comes now is the next round
                waiting = self._whom()
                if not waiting:
                    break
                self._erase(admin, frozenset(waiting), asked)
        self._outcome.seconds = round(time.monotonic() - started_s, 1)
        return self._outcome

    def carried(self) -> dict[str, int]:
        """How many offsets each topic that carries records would lose now."""
        with connect(self._kafka) as admin:
            places = partitions(self._names(CARRIERS), self._kafka.partitions)
            first, end = firsts(admin, places), ends(admin, places)
        found: dict[str, int] = {}
        for place in places:
            found[place.topic] = found.get(place.topic, 0) + end[place] - first[place]
        return found

    def _names(self, names: Iterable[str]) -> list[str]:
        return [f"{self._kafka.topic_prefix}{name}" for name in names]

    def _check_topics(self, admin: KafkaAdminClient) -> None:
        names = [*self._names(CARRIERS), self._topics.forget, self._topics.dead_letters]
        names.append(self._topics.conversations)
        missing = sorted(set(names) - set(admin.list_topics()))
        if missing:
            msg = f"there is no topic {', '.join(missing)}; `tidemill topics create` makes them"
            raise Halt(msg)

    def _ask(self, users: Collection[str]) -> None:
        """Step 1."""
        if not users:
            return
        sender = Sender(self._kafka)
        try:
            for user_id in users:
                tenant, name = outside(user_id)
                asked = Forget(user_id=name, tenant=tenant or msgspec.UNSET)
                sender.send("forget", user_id.encode(), json_encode(asked))
            sender.flush()
        finally:
            sender.close()
        self._report("asked", f"{len(users):,} users are on {self._topics.forget}")

    def _whom(self) -> set[str]:
        users = set()
        for _, record in read_topic(self._kafka, self._topics.forget):
            try:
                users.add(whom(parse_forget(record)))
            except BadRecord:
                continue  # the profile has made a dead letter of it
        return users

    def _erase(
        self, admin: KafkaAdminClient, users: frozenset[str], asked: dict[TopicPartition, int]
    ) -> None:
        """Steps 2 to 7 for all who wait."""
        # 2. Twice, because a record on a wrong partition is written again, to the right one.
        for _ in range(2):
            for role in ("ingest-profile", "learner"):
                self._until_read(admin, role, self._ends(admin, "forget"))
        self._report("state, online features, learner", "erased")
        # 3.
        self._until_read(admin, "ingest-profile", self._ends(admin, *RAW_EVENT_TOPICS))
        self._until_read(admin, "ingest-profile", self._ends(admin, "events"))
        self._until_read(admin, "learner", self._ends(admin, "examples"))
        self._until_read(admin, "ingest-profile", self._ends(admin, "readings"))
        self._until_read(admin, "serving", self._ends(admin, "requests"))
        self._until_read(admin, "ingest-profile", self._ends(admin, "recommendations"))
        self._end_conversations(users)
        self._report("on the way", "everything of before has arrived, and was dropped")
        with settings(admin, [self._topics.dead_letters, *self._names(CARRIERS)], HURRY):
            # 4.
            letters = keep_others(self._kafka, admin, users)
            deleting = [self._cut(admin, letters.before)]
            self._outcome.letters_erased += letters.erased
            self._outcome.letters_unsure += letters.unsure
            self._report(
                "dead letters",
                f"{letters.erased:,} erased, {letters.unsure:,} of them only hold an id; "
                f"{letters.kept:,} of others written again",
            )
            # 5.
            if self._options.keep_records:
                self._report("records", "left to the topics' retention time, as asked")
            else:
                deleting.append(self._cut(admin, self._boundaries(admin)))
            # 6.
            keys = {user_id.encode() for user_id in users}
            for name in COMPACTED:
                self._compact(admin, f"{self._kafka.topic_prefix}{name}", keys)
            self._report("changelog, words", "compacted, without the users")
            for shrinking in deleting:
                self._watch(shrinking)
        if not self._options.keep_records:
            trimmed = deleting[-1].offsets
            self._outcome.records_trimmed += trimmed
            self._report("records", f"{trimmed:,} removed, of all users, all read before")
        # 7.
        self._finish(admin, asked)
        self._outcome.users += len(users)
        self._report("forget", "the users' ids are gone from it")

    def _end_conversations(self, users: Collection[str]) -> None:
        """Tombstones for what users said to serving: its processes drop it when they hear them."""
        keys = {user_id.encode() for user_id in users}
        told = {
            record.key
            for _, record in read_topic(self._kafka, self._topics.conversations)
            if record.key in keys
        }
        if not told:
            return
        sender = Sender(self._kafka)
        try:
            for key in sorted(told):
                sender.send("conversations", key, None)
            sender.flush()
        finally:
            sender.close()

    def _ends(self, admin: KafkaAdminClient, *names: str) -> dict[TopicPartition, int]:
        return ends(admin, partitions(self._names(names), self._kafka.partitions))

    def _until_read(
        self, admin: KafkaAdminClient, role: str, upto: dict[TopicPartition, int]
    ) -> None:
        group = f"{self._kafka.topic_prefix}{role}"
        if group not in self._options.ignored_groups:
            self._until_all_read(admin, upto, [group])

    def _until_all_read(
        self,
        admin: KafkaAdminClient,
        upto: dict[TopicPartition, int],
        groups: Sequence[str] | None = None,
    ) -> None:
        """Wait until groups have read so far: the given ones, or all that ever read there."""
        while True:
            first, read = firsts(admin, list(upto)), committed(admin)
            behind: list[str] = []
            for group in groups if groups is not None else sorted(read):
                done = read.get(group, {})
                mine = upto if groups is not None else {p: upto[p] for p in upto if p in done}
                mine = {p: end for p, end in mine.items() if not self._gave_up(group, p.topic)}
                if group in self._options.ignored_groups or not mine:
                    continue
                begin = {place: max(done.get(place, 0), first[place]) for place in mine}
                left = unread(self._kafka, begin, mine)
                names = sorted({place.topic for place in left})
                if left:
                    behind.append(f"{group} has {sum(left.values()):,} of {', '.join(names)} left")
            if not behind:
                return
            self._wait(
                f"to be read: {'; '.join(behind)}. Is it running? A group that nobody uses any "
                "more is passed over with --ignore-group"
            )

    def _gave_up(self, group: str, topic: str) -> bool:
        """Whether a role of ours read a topic once, but reads it no more by its settings."""
        once = (("ingest-profile", "recommendations"), ("learner", "outcomes"))
        pairs = {tuple(self._names(pair)) for pair in once}
        return not self._options.outcomes and (group, topic) in pairs

    def _boundaries(self, admin: KafkaAdminClient) -> dict[TopicPartition, int]:
        """New segments of the topics that carry records, once everybody has read what is before."""
        # Readers write in their turn: what they do with the last record comes before the boundary.
        self._until_all_read(admin, self._ends(admin, *CARRIERS))
        upto = roll(admin, partitions(self._names(CARRIERS), self._kafka.partitions))
        self._until_all_read(admin, upto)
        return upto

    def _cut(self, admin: KafkaAdminClient, before: dict[TopicPartition, int]) -> Shrinking:
        """Move partitions' beginnings; the broker then deletes their segments."""
        shrinking = Shrinking(admin, before)
        shrinking.offsets = trim(admin, before)
        return shrinking

    def _finish(self, admin: KafkaAdminClient, asked: dict[TopicPartition, int]) -> None:
        """Step 7, for those only who were asked for before: others are the next round."""
        with settings(admin, [self._topics.forget], HURRY):
            upto = roll(admin, list(asked))
            late = unread(self._kafka, asked, upto)
            shrinking = self._cut(
                admin, {place: asked[place] if place in late else upto[place] for place in asked}
            )
            shrinking.left -= set(late)
            self._watch(shrinking)

    def _watch(self, shrinking: Shrinking) -> None:
        while left := shrinking.look():
            names = ", ".join(sorted({place.topic for place in left}))
            self._wait(f"for the broker to delete segments of {names}")
        time.sleep(2 * float(HURRY["file.delete.delay.ms"]) / 1000)

    def _compact(self, admin: KafkaAdminClient, topic: str, keys: Collection[bytes]) -> None:
        count = partition_counts(admin, [topic]).get(topic, 0)
        of = {partition_of(key, count) for key in keys} if count else set()
        places = [TopicPartition(topic, partition) for partition in sorted(of)]
        if not places:
            return
        with settings(admin, [topic], COMPACT):
            while places:
                roll_compacted(self._kafka, admin, places)
                pause_until_s = time.monotonic() + COMPACT_S
                held = {
                    p for (_, p, _), record in read_topic(self._kafka, topic) if record.key in keys
                }
                places = [place for place in places if place.partition in held]
                while places and time.monotonic() < pause_until_s:
                    self._wait(f"for the broker to compact {topic}")
            time.sleep(2 * float(COMPACT["file.delete.delay.ms"]) / 1000)

    def _wait(self, why: str) -> None:
        if time.monotonic() > self._deadline_s:
            msg = (
                f"not done in {self._options.timeout_s:g} s: waiting {why}. What is done stays "
                "done; `tidemill forget` goes on with the rest"
            )
            raise Unavailable(msg)
        time.sleep(LOOK_S)
