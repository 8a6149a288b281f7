"""From a question to its answer, route by route. Pure: it is given what is known, and asks nobody.

Nothing is written that no source says: an answer is a field, a count of shoppers, a table of
fields, or a sentence as it stands in a review or a document, each with where it stands. Texts of
reviews and documents are data. They are compared, counted and quoted, and never read as
instructions: there is nothing here that could follow one.
"""

from __future__ import annotations

from collections.abc import Callable

from learner.answers.wording import terms
from serving.answers.attributes import Meant, without_title
from serving.answers.compare import Named, table, two_items
from serving.answers.documents import best, cut_up
from serving.answers.knowledge import Knowledge
from serving.answers.opinions import heard, opinion_of
from serving.answers.phrases import Phrases, phrases, shortened
from serving.answers.reading import Found, Reader
from serving.answers.replies import (
    Question,
    Reply,
    Search,
    Sureness,
    after,
    cite,
    field_answer,
    told_wishes,
)
from serving.answers.routes import about_policy, first_way, in_chinese
from serving.answers.wishes import filters_of, query_of
from serving.answers.wishes import heard as wishes_heard
from stream.asked import Answer, HandOver, HandOverReason, Wishes
from stream.events import ItemVector
from stream.tenants import plain

MOSTLY = 0.6
"""Share of a question's words, by how rare they are, that a text has to have to be read where a
field is asked for that the item lacks."""


class Answering:
    """Answers questions about one shop.

    Parameters
    ----------
    knowledge
        What the shop knows.
    reader
        Reads texts beside a question.
    named
        Finds an item by words of its title; `None` finds none.
    sureness
        How sure an answer has to be.

    Examples
    --------
    >>> from features.catalog import Catalog
    >>> from serving.index import ItemIndex
    >>> index = ItemIndex(Catalog(width=2, texts=True))
    >>> index.upsert([ItemVector(item_id="pot", vector=b"", encoder="", text_hash="",
    ...     first_seen_ms=0, title="Tea pot", attributes={"weight": "1 kg"})])
    >>> answering = Answering(Knowledge(index), Reader())
    >>> def ask(text):
    ...     return answering.reply(Question(text, "ada", 0, "q", item_id="pot")).answer
    >>> ask("How heavy is it?").text, ask("它有多重？").text, ask("How wide is it?").route
    ('weight: 1 kg.', 'weight：1 kg。', 'unknown')
    """

    def __init__(
        self,
        knowledge: Knowledge,
        reader: Reader,
        named: Named | None = None,
        sureness: Sureness | None = None,
    ) -> None:
        self._sureness = sureness or Sureness()
        self.knowledge = knowledge
        self.reader = reader
        self._named: Named = named or (lambda _: None)

    def reply(self, question: Question) -> Reply:
        """Answer a question."""
        words = phrases(chinese=in_chinese(question.text))
        before = question.dialogue
        searching = before is not None and bool(before.turns) and before.turns[-1].route == "find"
        way = first_way(question.text, searching=searching)
        item = self._item(question)
        if way is not None and way.way == "hand-over" and way.reason is not None:
            return self._handed_over(question, way.reason, words)
        if way is not None and way.way == "compare":
            made = self._compared(question, item, words)
            if made is not None:
                return made
        elif way is not None and way.way == "find":
            return self._search(question, words)
        answer = self._answer(question.text, item, words)
        shown = (item.item_id,) if item is not None else ()
        return Reply(answer, after(question, answer.route, shown=shown))

    def _item(self, question: Question) -> ItemVector | None:
        """The item that is meant: the page's, or the only one that the conversation is about."""
        item = self.knowledge.item(question.item_id)
        before = question.dialogue
        if item is None and question.item_id is None and before and len(before.item_ids) == 1:
            item = self.knowledge.item(before.item_ids[0])
        return item

    def _answer(self, text: str, item: ItemVector | None, words: Phrases) -> Answer:
        policy = about_policy(text)
        if (
            policy
            and (found := self._document(text)) is not None
            and found.answers >= self._sureness.text
        ):
            return self._quoted(found, words)
        lacking: Meant | None = None
        if item is not None:
            meant = self.knowledge.names.meant(text, item)
            if meant is not None:
                if (answer := field_answer(meant, item, words)) is not None:
                    return answer
                lacking = meant
            elif (answer := self._opinion(text, item, words)) is not None:
                return answer
        least = self._sureness.text if lacking is None else self._sureness.lacking_field
        share = 0.0 if lacking is None else MOSTLY
        # The item's title is in its texts anyway: found again, it answers nothing.
        bare = text if item is None else without_title(text, item.title)
        read = [self._of_item(bare, item, share), None if policy else self._document(bare, share)]
        found = max((one for one in read if one), key=lambda one: one.answers, default=None)
        if found is not None and found.answers >= least:
            return self._quoted(found, words)
        return self._unknown(item, lacking, words)

    def _opinion(self, text: str, item: ItemVector, words: Phrases) -> Answer | None:
        opinion = opinion_of(text, item.title)
        if opinion is None:
            return None
        counted = heard(opinion, self.knowledge.reviews.sentences(item.item_id))
        if counted is None:
            return None
        votes, quotes = counted.votes, [shortened(quote) for quote in counted.quotes]
        count = votes.say + votes.deny
        form = words.opinion if votes.say >= votes.deny else words.otherwise
        told = form.format(say=votes.say, deny=votes.deny, all=count, quote=quotes[0])
        if len(quotes) > 1:
            told += words.divided.format(count=min(votes.say, votes.deny), quote=quotes[1])
        return Answer(
            text=told,
            route="opinion",
            citations=counted.citations,
            confidence=round(max(votes.say, votes.deny) / (count + 1), 3),
            votes=votes,
        )

    def _of_item(self, text: str, item: ItemVector | None, share: float = 0.0) -> Found | None:
        """What the item's description or its reviews say, if they have so much of the question."""
        if item is None:
            return None
        book = self.knowledge.reviews
        parts = list(cut_up("item", item.item_id, "description", item.description))
        for said in book.of(item.item_id):
            parts += cut_up("review", said.review_id, "text", said.text)
        weight = {word: book.frequencies.rarity(word) for word in set(terms(text))}
        least = share * sum(weight.values())
        scored = [
            (score + 1e-6, part)
            for part in parts
            if (score := sum(w for word, w in weight.items() if word in part.words)) >= least
        ]
        return self.reader.read(text, best(scored, self._sureness.passages), book.frequencies)

    def _document(self, text: str, share: float = 0.0) -> Found | None:
        book = self.knowledge.documents
        found = book.found(text, self._sureness.passages, share)
        return self.reader.read(text, found, book.frequencies)

    def forget(self, covers: Callable[[str, int], bool]) -> None:
        """Drop what users wrote who are to be forgotten, and all that was read of it."""
        if self.knowledge.reviews.forget_covered(covers):
            cut_up.cache_clear()
            self.reader.forget()

    def _quoted(self, found: Found, words: Phrases) -> Answer:
        passage, quote = found.passage, shortened(found.quote)
        if passage.source == "document":
            document = self.knowledge.documents.get(passage.id)
            title = (document.title if document else "") or plain(passage.id)
            told = words.document.format(title=title, quote=quote)
        elif passage.source == "review":
            told = words.review.format(quote=quote)
        else:
            told = quote
        return Answer(
            text=told,
            route="policy" if passage.source == "document" else "review",
            citations=(cite(passage, found),),
            confidence=round(found.answers, 3),
        )

    def _unknown(self, item: ItemVector | None, lacking: Meant | None, words: Phrases) -> Answer:
        if item is None:
            told = words.unknown if len(self.knowledge.documents) else words.no_item
        elif lacking is not None:
            told = words.no_field.format(name=lacking.names[0])
        else:
            reviews = len(self.knowledge.reviews.of(item.item_id))
            told = words.unknown_item.format(reviews=reviews)
        return Answer(text=told, route="unknown")

    def _compared(
        self, question: Question, item: ItemVector | None, words: Phrases
    ) -> Reply | None:
        before = question.dialogue
        ids = before.item_ids if before is not None else ()
        shown = [one for one in map(self.knowledge.item, ids) if one is not None]
        pair = two_items(question.text, item, shown, self._named)
        if pair is None:
            answer = Answer(text=words.one_item, route="unknown")
            return Reply(answer, after(question, answer.route))
        compared = table(*pair)
        told = "\n".join(" | ".join(row) for row in compared.rows)
        answer = Answer(
            text=told,
            route="compare",
            citations=compared.citations,
            confidence=1.0,
            table=compared.rows,
        )
        shown_ids = (pair[0].item_id, pair[1].item_id)
        return Reply(answer, after(question, answer.route, shown=shown_ids))

    def _search(self, question: Question, words: Phrases) -> Reply:
        before = question.dialogue
        known = [self.knowledge.item(i) for i in before.item_ids] if before is not None else []
        prices = [one.price for one in known if one is not None and one.price is not None]
        wished = wishes_heard(
            question.text,
            before.wishes if before is not None else Wishes(),
            self.knowledge.offered,
            prices,
        )
        answer = Answer(
            text=words.found.format(wishes=told_wishes(wished)),
            route="find",
            confidence=1.0,
            wishes=wished,
        )
        dialogue = after(question, "find", wishes=wished, shown=())
        search = Search(query_of(wished), filters_of(wished), wished.not_brands)
        return Reply(answer, dialogue, search=search)

    def _handed_over(self, question: Question, reason: HandOverReason, words: Phrases) -> Reply:
        before = question.dialogue
        hand_over = HandOver(
            hand_over_id=question.question_id,
            request_id=question.request_id,
            user_id=question.user_id,
            ts_ms=question.now_ms,
            reason=reason,
            question=question.text,
            conversation_id=before.conversation_id if before is not None else None,
            item_id=question.item_id,
            said=tuple(turn.question for turn in before.turns) if before is not None else (),
        )
        told = {"order": words.order, "complaint": words.complaint, "person": words.person}[reason]
        answer = Answer(
            text=told, route="hand-over", confidence=1.0, hand_over_id=hand_over.hand_over_id
        )
        return Reply(answer, after(question, answer.route), hand_over=hand_over)
