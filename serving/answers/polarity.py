"""What words say for and against: opposites, denial, praise and blame, in English and Chinese."""

from __future__ import annotations

import re

from learner.answers.wording import all_terms, folded, stem

_OPPOSITES = """
loud noisy deafening blaring / quiet silent noiseless hushed
heavy bulky hefty / light lightweight featherweight
big large huge roomy spacious oversized / small tiny little cramped compact undersized
tall / short
long / short
wide / narrow
thick / thin flimsy
easy simple effortless straightforward intuitive / hard difficult complicated tricky confusing
hot / cold cool lukewarm
warm / cold chilly
sturdy solid robust durable tough rugged / flimsy fragile brittle wobbly rickety shaky cheaply
comfortable comfy cosy cozy / uncomfortable painful
fast quick speedy / slow sluggish
soft / rough scratchy hard stiff
bright / dim dark
sharp / dull blunt
safe / dangerous unsafe hazardous
clean / dirty messy
strong powerful / weak feeble underpowered
cheap affordable inexpensive / expensive overpriced pricey costly
accurate precise / inaccurate imprecise
reliable dependable / unreliable
waterproof watertight / leaky leaks leaked leaking
stable steady / unstable wobbly shaky
beautiful pretty attractive gorgeous stylish nice / ugly hideous unattractive
tasty delicious yummy / bland tasteless disgusting
fresh / stale
""".strip()
_PRAISE = (
    "good great excellent amazing awesome perfect fantastic wonderful superb love loved loves like "
    "liked best nice happy pleased satisfied recommend recommended worth fine impressed works "
    "worked sturdy durable reliable solid quality easy comfortable beautiful well better enjoy "
    "favorite favourite perfectly outstanding pleasantly super lasts"
)
_BLAME = (
    "bad poor terrible awful horrible worst hate hated disappointed disappointing disappointment "
    "useless junk garbage trash broke broken breaks defective faulty fails failed failure stopped "
    "returned returning refund waste cheap cheaply flimsy worse weak problem problems issue issues "
    "cracked leaks leaked unusable poorly unfortunately wrong annoying rust rusted died dies"
)
_NEGATORS = frozenset(
    stem(w)
    for w in "not no never none nothing neither nor without hardly barely isn aren wasn weren "
    "doesn don didn won can't cannot couldn wouldn shouldn hasn haven ain isnt dont doesnt didnt "
    "wasnt cant wont far anything less".split()
)
_REACH = 4
"""Words after a negator that it denies."""

_HAN_OPPOSITES = (
    (
        "吵 响 噪音大 声音大 噪音很大 声音很大",
        "安静 静音 噪音小 声音小 声音不大 噪音不大 没有噪音 没噪音",
    ),
    ("重 沉", "轻 轻便"),
    ("大", "小"),
    ("好用 易用 简单 方便 容易", "难用 复杂 麻烦 不方便 不好用"),
    ("结实 耐用 牢固", "易坏 不结实 不耐用 容易坏"),
    ("舒服 舒适", "不舒服 难受"),
    ("快", "慢"),
    ("软 柔软", "硬"),
    ("便宜", "贵"),
    ("漂亮 好看", "难看 丑"),
)
_HAN_PRAISE = "好 不错 喜欢 满意 推荐 值得 棒 完美 优秀".split()
_HAN_BLAME = "差 坏 失望 糟糕 后悔 退货 垃圾 不好 不满意 不喜欢 不推荐 问题".split()
_HAN_DENY = re.compile(r"(不|没有|没|无|别|并非|不太|不是很|不怎么)$")

_SAYS: dict[str, dict[str, int]] = {}
for _line in _OPPOSITES.splitlines():
    _sides = [[stem(word) for word in side.split()] for side in _line.split("/")]
    for _sign, _mine, _theirs in ((1, _sides[0], _sides[1]), (-1, _sides[1], _sides[0])):
        for _word in _mine:
            _of = _SAYS.setdefault(_word, {})
            _of.update({same: 1 for same in _mine} | {_word: 1})
            for _other in _theirs:
                _of.setdefault(_other, -1)
_PRAISE_STEMS = frozenset(map(stem, _PRAISE.split()))
_BLAME_STEMS = frozenset(map(stem, _BLAME.split()))


def sayings(word: str) -> dict[str, int]:
    """The words that say the same as a word, by 1, and the opposite, by -1; itself for others.

    >>> sayings("loud")["quiet"], sayings("loud")["noisy"], sayings("dishwasher")
    (-1, 1, {'dishwash': 1})
    """
    return _SAYS.get(stem(word), {stem(word): 1})


def is_opinion(word: str) -> bool:
    """Whether a word says how something is: one with an opposite, or praise, or blame."""
    one = stem(word)
    return one in _SAYS or one in _PRAISE_STEMS or one in _BLAME_STEMS


def praises(word: str) -> int:
    """Whether a word praises, 1, blames, -1, or does neither, 0."""
    one = stem(word)
    return (one in _PRAISE_STEMS) - (one in _BLAME_STEMS)


def says(sentence: str, meanings: dict[str, int]) -> int:
    """Whether a sentence says so, 1, says otherwise, -1, or says nothing of it, 0.

    >>> meanings = sayings("loud")
    >>> [says(text, meanings) for text in ("It is very loud", "not that noisy", "so quiet", "red")]
    [1, -1, -1, 0]
    """
    words = all_terms(sentence)
    total = 0
    for at, word in enumerate(words):
        sign = meanings.get(word, 0)
        if sign:
            denied = any(w in _NEGATORS for w in words[max(at - _REACH, 0) : at])
            too = at > 0 and words[at - 1] == "enough"
            total += -sign if denied and not too else sign
    return (total > 0) - (total < 0)


def feels(sentence: str) -> int:
    """Whether a sentence praises, 1, or blames, -1.

    >>> feels("The battery is great"), feels("The battery is not good"), feels("It has a battery")
    (1, -1, 0)
    """
    words = all_terms(sentence)
    total = 0
    for at, word in enumerate(words):
        sign = (word in _PRAISE_STEMS) - (word in _BLAME_STEMS)
        if sign:
            denied = any(w in _NEGATORS for w in words[max(at - _REACH, 0) : at])
            total += -sign if denied else sign
    if not total:
        total = _han_feels(sentence)
    return (total > 0) - (total < 0)


def han_sayings(question: str) -> tuple[list[str], list[str]] | None:
    """Of a question in Chinese: words that say so, and words that say otherwise.

    >>> han_sayings("这个风扇吵吗？")[0][0], han_sayings("有蓝牙吗？")
    ('吵', None)
    """
    text = folded(question)
    best: tuple[int, list[str], list[str]] | None = None
    for so, otherwise in _HAN_OPPOSITES:
        for mine, theirs in ((so.split(), otherwise.split()), (otherwise.split(), so.split())):
            for word in mine:
                if word in text and (best is None or len(word) > best[0]):
                    best = len(word), mine, theirs
    return None if best is None else (best[1], best[2])


def han_says(sentence: str, so: list[str], otherwise: list[str]) -> int:
    """The same as `says`, of a sentence in Chinese.

    >>> so, otherwise = han_sayings("吵吗")
    >>> [han_says(text, so, otherwise) for text in ("有点吵", "一点也不吵", "很安静", "红色")]
    [1, -1, -1, 0]
    """
    total = 0
    rest = sentence
    for sign, words in ((-1, otherwise), (1, so)):
        for word in sorted(words, key=len, reverse=True):
            at = rest.find(word)
            while at >= 0:
                denied = bool(_HAN_DENY.search(rest[:at]))
                total += -sign if denied else sign
                rest = rest[:at] + "　" * len(word) + rest[at + len(word) :]
                at = rest.find(word)
    return (total > 0) - (total < 0)


def _han_feels(sentence: str) -> int:
    blame = [word for word in _HAN_BLAME if word in sentence]
    rest = sentence
    for word in blame:
        rest = rest.replace(word, "　")
    good = sum(word in rest for word in _HAN_PRAISE)
    return good - len(blame)
