"""The words of questions and texts, and what kind of answer a question asks for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

from learner.texts.words import unspaced

AnswerKind = Literal[
    "number", "time", "reason", "person", "place", "colour", "material", "manner", "yes-no", "other"
]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ENDINGS = ("ingly", "edly", "ings", "ing", "ied", "ies", "ed", "ers", "er", "ly", "es", "s", "e")
_LEAST = 3

STOP = frozenset(
    "a an the this that these those it its he she they them their his her we our you your i my me "
    "is are was were be been being am do does did doing done have has had having can could will "
    "would shall should may might must of in on at to for from by with about into as than and or "
    "but if so not no what which who whom whose when where why how there here any some s t re ve "
    "ll d m don doesn didn isn aren wasn".split()
)
"""Words that every question and every text has: they tell nothing about what is asked."""

_ASKED: tuple[tuple[AnswerKind, str], ...] = (
    ("colour", r"\bcolou?rs?\b|颜色|什么色"),
    ("time", r"\bwhen\b|\bhow (long|often|old|soon)\b|\bwhat (time|year|month|day)\b|"
             r"什么时候|多久|多长时间"),
    ("number", r"\bhow (many|much|big|large|tall|wide|deep|high|heavy|far|fast|hot|thick)\b|"
               r"\bwhat (size|price|percent\w*|number|weight|temperature|age|amount)\b|"
               r"\b(cost|price)\b|多少|几|多[重大长高宽快远]"),
    ("reason", r"\bwhy\b|\breasons?\b|\bwhat caused?\b|为什么|为何"),
    ("person", r"\bwho(m|se)?\b|谁"),
    ("place", r"\bwhere\b|哪里|哪儿|在哪"),
    ("material", r"\bmaterials?\b|\bmade (out )?(of|from)\b|材质|材料|什么做"),
    ("manner", r"^\W*how\b|怎么|如何"),
    ("yes-no", r"^\W*(is|are|was|were|do|does|did|can|could|will|would|has|have|should)\b|吗|"
               r"是否|是不是|有没有"),
)  # fmt: skip
_HAN_STOP = re.compile(
    "为什么|有没有|是不是|是否|请问|多少|多久|什么|怎么|可以|[的了吗呢吧是在和与]"
)
"""What the stop words are in Chinese."""

_KINDS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _ASKED)

_SHOWN: tuple[tuple[AnswerKind, str], ...] = (
    ("number", r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|"
               r"forty|fifty|hundred|thousand|half|dozen|couple|several|few|once|twice|double)"
               r"\b|\$|[一二三四五六七八九十百千两半]"),
    ("time", r"\b(year|month|week|day|hour|minute|second|night|morning|evening|christmas|ago|"
             r"since|always|never|daily|weekly|times?|every|after|before|until|while|"
             r"january|february|march|april|may|june|july|august|september|october|november|december|"
             r"(mon|tues|wednes|thurs|fri|satur|sun)day|summer|winter|today|yesterday|last|long)s?\b|\d|年|月|天|小时|分钟|周"),
    ("reason", r"\b(because|since|so|as|due|reason|therefore|to)\b|因为|所以|由于"),
    ("person", r"\b(i|we|he|she|my|wife|husband|mom|mother|dad|father|son|daughter|kids?|"
               r"friends?|family|sister|brother|people|boyfriend|girlfriend|guests?|company|"
               r"grand\w+|someone|customers?|reviewers?|neighbou?rs?|baby|child(ren)?)\b|我|他|她"),
    ("place", r"\b(in|on|at|from|near|under|inside|outside|store|amazon|home|house|kitchen|"
              r"room|walmart|target|made|online|counter|side|top|bottom|back|front)\b|在|里|上"),
    ("colour", r"\b(colou?rs?|black|white|red|blue|green|yellow|orange|purple|pink|brown|"
               r"gr[ae]y|silver|gold\w*|beige|tan|teal|navy|cream|clear|dark|light)\b|色|[黑白红蓝绿黄紫粉灰]"),
    ("material", r"\b(steel|plastic|wood\w*|glass|metal|iron|alumin\w+|ceramic|cotton|silicone|"
                 r"rubber|leather|copper|polyester|nylon|bamboo|stone\w*|cloth|fabric|paper|"
                 r"stainless|made)\b|[钢塑木铁棉胶]"),
    ("manner", r"\b(by|with|using|use|just|easily|well|great|good|carefully|simply|very)\b"),
)  # fmt: skip
_SIGNS: dict[AnswerKind, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _SHOWN
}


def terms(text: str) -> list[str]:
    """Stems in order, stop words left out; what is written without spaces as pairs of letters.

    >>> terms("How well does the Kettle's handle stay cool?"), terms("声音大吗")
    (['well', 'kettl', 'handl', 'stay', 'cool'], ['声音', '音大'])
    """
    return [word for word in all_terms(text) if word not in STOP]


def all_terms(text: str) -> list[str]:
    """The same with stop words."""
    found: list[str] = []
    for match in _WORD.finditer(folded(text)):
        word = match[0]
        if any(unspaced(letter) for letter in word):
            found += _pairs(word)
        else:
            found.append(stem(word))
    return found


def folded(text: str) -> str:
    """In lower case, without accents."""
    if text.isascii():
        return text.lower()
    return _without_marks(text.casefold())


def _without_marks(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize(
        "NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn")
    )


def _pairs(word: str) -> list[str]:
    """Latin parts of a run are words; of the rest every two neighbours are."""
    found: list[str] = []
    run = ""
    for part in re.findall(r"[a-z\d]+|[^a-z\d]", word):
        if part.isascii():
            found += _of_run(run)
            found.append(stem(part))
            run = ""
        else:
            run += part
    return found + _of_run(run)


def _of_run(run: str) -> list[str]:
    found: list[str] = []
    for part in _HAN_STOP.split(run):
        if len(part) == 1:
            found.append(part)
        found += [part[at : at + 2] for at in range(len(part) - 1)]
    return found


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Without the ending of a plural, of a verb's form, or of an adverb; and without `'s`, `n't`.

    >>> [stem(word) for word in ("cleaning", "cleaned", "cleans", "stopped", "batteries", "is")]
    ['clean', 'clean', 'clean', 'stop', 'battery', 'is']
    """
    word = word.replace("’", "'").partition("'")[0]
    if not word.isalpha() or word in STOP:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST:
            word = word[: -len(ending)] + ("y" if ending in {"ies", "ied"} else "")
            break
    if len(word) > _LEAST and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word[:-1] if len(word) > _LEAST and word[-1] == "e" else word


def kind_of(question: str) -> AnswerKind:
    """What kind of answer is asked for; a guess, by the words that ask.

    >>> kind_of("How heavy is it?"), kind_of("吵吗?"), kind_of("What is it for?")
    ('number', 'yes-no', 'other')
    """
    for kind, pattern in _KINDS:
        if pattern.search(question):
            return kind
    return "other"


def shows(kind: AnswerKind, sentence: str) -> bool:
    """Whether a sentence has a word of the kind that is asked for."""
    signs = _SIGNS.get(kind)
    return signs is not None and signs.search(sentence) is not None
