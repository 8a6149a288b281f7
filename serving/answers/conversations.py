"""What users said lately, kept on `conversations`: a restart, or another worker, knows it too.

A turn counts once its answer is out: it goes to the topic in the answer's own transaction. Turns of
one micro-batch build on each other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec

from serving.answers.config import AnswersConfig
from stream.asked import Conversations, Dialogue
from stream.outgoing import Outgoing
from stream.tenants import inside, into, told

_decode = msgspec.json.Decoder(Conversations).decode


class ConversationBook:
    """The latest conversations of the latest users.

    Examples
    --------
    >>> book = ConversationBook(AnswersConfig(conversations=2))
    >>> for n in range(3):
    ...     book.say("ada", Dialogue(conversation_id=f"c{n}", ts_ms=n))
    >>> [one.key for one in book.records()], book.of("ada", "c1", 5).conversation_id
    ([b'ada'], 'c1')
    >>> book.sent()
    >>> book.records(), len(book), book.of("ada", "c0", 5).turns
    ([], 1, ())
    """

    def __init__(self, config: AnswersConfig) -> None:
        self._config = config
        self._users: OrderedDict[str, Conversations] = OrderedDict()
        self._said: dict[str, Conversations] = {}

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._users)

    def begin(self) -> None:
        """Begin a micro-batch: what was said and never sent wasn't said."""
        self._said.clear()

    def of(self, user_id: str, conversation_id: str, now_ms: int) -> Dialogue:
        """A conversation as it is; a new one, or one that rested for long, is empty."""
        known = self._said.get(user_id) or self._users.get(user_id)
        oldest_ms = now_ms - self._config.conversation_s * 1000
        for dialogue in known.dialogues if known is not None else ():
            if dialogue.conversation_id == conversation_id and dialogue.ts_ms >= oldest_ms:
                return dialogue
        return Dialogue(conversation_id=conversation_id, ts_ms=now_ms)

    def say(self, user_id: str, dialogue: Dialogue) -> None:
        """Take in a conversation after a turn; it counts for this batch, and once it is sent."""
        known = self._said.get(user_id) or self._users.get(user_id)
        others = tuple(
            one
            for one in (known.dialogues if known is not None else ())
            if one.conversation_id != dialogue.conversation_id
        )
        kept = (*others, dialogue)[-self._config.conversations :]
        self._said[user_id] = Conversations(user_id=user_id, dialogues=kept)

    def records(self) -> list[Outgoing]:
        """What this batch said, for the topic."""
        return [
            Outgoing(user_id.encode(), told(said, user_id)) for user_id, said in self._said.items()
        ]

    def sent(self) -> None:
        """Remember what this batch said: it is out."""
        for user_id, said in self._said.items():
            self._keep(user_id, said)
        self._said.clear()

    def hear(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the topic; what can't be read is passed over."""
        user_id = (key or b"").decode("utf-8", "replace")
        if value is None:
            self._users.pop(user_id, None)
            return
        try:
            said = _decode(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        known = self._users.get(user_id)
        if known is None or _newest(said) >= _newest(known):
            tenant = said.tenant or ""
            self._keep(user_id, _inside(into(said, tenant, "user_id"), tenant))

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop the conversations of users who are to be forgotten."""
        for user_id in [u for u, said in self._users.items() if covers(u, _newest(said))]:
            del self._users[user_id]

    def _keep(self, user_id: str, said: Conversations) -> None:
        self._users[user_id] = said
        self._users.move_to_end(user_id)
        while len(self._users) > self._config.users:
            self._users.popitem(last=False)


def _newest(said: Conversations) -> int:
    return max((one.ts_ms for one in said.dialogues), default=0)


def _inside(said: Conversations, tenant: str) -> Conversations:
    """Items carry their tenant inside, as users do."""
    if not tenant:
        return said

    def items(ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(inside(tenant, one) for one in ids)

    dialogues = tuple(
        msgspec.structs.replace(one, item_ids=items(one.item_ids)) for one in said.dialogues
    )
    return msgspec.structs.replace(said, dialogues=dialogues)
