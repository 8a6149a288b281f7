"""The closed lists, one set per language: what a sentence may say about anything, and how it binds.

A word that isn't here and isn't an item's isn't said. So the lists are short: a missing word costs
a sentence, a wrong one costs a customer's trust. What praises, promises, compares or counts isn't
neutral; neither is `free`, `new`, `only` or `made`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from learner.texts.words import stem

Language = Literal["en", "de", "fr", "es", "zh"]


class Lexicon(NamedTuple):
    """The closed lists of a language; words as `words.stem` leaves them.

    Attributes
    ----------
    roles
        Prepositions, and what comes after them: `with`, `has` and `includes` say the same.
    passing
        Articles and the like: what is after them has the role of what is before.
    neutral
        Words that claim nothing. They begin a new clause.
    negators
        All that follows in the clause is denied.
    before, after
        Words that change the one after or before them into something else: `faux` leather, gold
        `plated`, dust `free`.
    bound
        Colours, materials, superlatives and comparatives: said only of what the fields say them of.
        `None` binds every word.
    degrees
        Those of them that compare: they aren't said without what they are said of (`Best of`).
    opinions
        What shoppers may be quoted with, where enough of them say it.
    numbers
        Numbers written out.
    """

    roles: Mapping[str, str]
    passing: frozenset[str]
    neutral: frozenset[str]
    negators: frozenset[str]
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    bound: frozenset[str] | None = None
    degrees: frozenset[str] = frozenset()
    opinions: frozenset[str] = frozenset()
    numbers: Mapping[str, str] = {}


def _words(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


def _roles(text: str) -> dict[str, str]:
    """`with: has includes; for`: each word by the first of its group."""
    groups = [[stem(word) for word in group.replace(":", " ").split()] for group in text.split(";")]
    return {word: group[0] for group in groups for word in group}


_COLOURS = _words(
    "black white red blue green yellow orange purple violet pink brown grey gray beige ivory cream "
    "navy teal turquoise cyan magenta maroon burgundy olive lime indigo lavender coral salmon "
    "khaki tan silver gold golden bronze copper rose charcoal anthracite transparent clear "
    "multicolour multicolor colourless dark light bright pale"
)  # fmt: skip
_MATERIALS = _words(
    "iron steel stainless aluminium aluminum titanium brass chrome metal tin zinc lead nickel "
    "platinum pewter glass borosilicate crystal ceramic porcelain stoneware earthenware terracotta "
    "clay stone marble granite slate concrete wood wooden oak walnut beech birch maple pine cedar "
    "mahogany rosewood ebony spruce teak bamboo cork rattan wicker paper cardboard leather suede "
    "cotton wool woollen merino cashmere alpaca silk linen hemp jute denim canvas velvet fleece "
    "down feather fur polyester nylon acrylic viscose elastane spandex lycra microfibre microfiber "
    "plastic pvc abs polycarbonate silicone rubber latex foam memory carbon fibre fiber kevlar "
    "fibreglass fiberglass enamel enamelled resin wax diamond pearl ruby sapphire emerald organic "
    "china bone plywood"
)  # fmt: skip
_DEGREES = _words(
    "best better worst worse most more least less fewest fewer many much top ultimate unbeatable "
    "leading unique perfect ideal premium finest finer greatest greater largest larger biggest "
    "bigger smallest smaller fastest faster cheapest cheaper lightest lighter strongest stronger "
    "easiest easier softest softer loudest louder quietest quieter warmest warmer coolest cooler "
    "brightest brighter cleanest cleaner nicest nicer longest longer shortest shorter thickest "
    "thicker thinnest thinner heaviest heavier newest newer oldest older highest higher lowest "
    "lower safest safer tightest tighter widest wider deepest deeper latest first only ever every "
    "all always never any super ultra extra very really too so same similar equal"
)  # fmt: skip

ENGLISH = Lexicon(
    roles=_roles(
        "with: has have include including feature; for; by; from; of; in; on; at; to; into; as; "
        "like; than; about; over; under; beside; near; after; before; against; via; per"
    ),
    passing=_words("a an the this that these those its it's your our their and or"),
    neutral=_words(
        "is are be it you we they which but who while when where here there item one's also look "
        "see consider shopper call may can could might would how what"
    ),
    negators=_words(
        "no not non without never neither nor none nothing hardly barely lack lacks lacking isn't "
        "aren't doesn't don't won't can't cannot couldn't wasn't weren't hasn't haven't didn't "
        "shouldn't wouldn't except excluding sans minus unlike un instead rather"
    ),
    before=_words(
        "faux fake imitation artificial synthetic mock replica pretend vegan quasi pseudo semi "
        "half almost nearly anti simulated coated"
    ),
    after=_words(
        "free proof resistant repellent plated coated look style effect like coloured colored tone "
        "print finish compatible shaped scented flavoured flavored substitute alternative"
    ),
    bound=_COLOURS | _MATERIALS | _DEGREES,
    degrees=_DEGREES,
    opinions=_words(
        "sturdy solid comfortable comfy durable reliable easy simple handy useful practical soft "
        "warm quiet smooth pretty beautiful lovely elegant stylish compact lightweight portable "
        "nice good great excellent fun helpful accurate responsive versatile affordable delicious "
        "tasty fresh cosy cozy robust attractive cute bright loud crisp clean"
    ),
    numbers={
        word: str(number)
        for number, word in enumerate(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty".split()
        )
    }
    | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70"}
    | {"eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000"}
    | {"dozen": "12"},
)

GERMAN = Lexicon(
    roles=_roles("mit: hat; für; von: vom; aus; in: im; an: am; auf; zu: zum zur; bei: beim; als"),
    passing=_words("der die das den dem des ein eine einen einem einer eines und oder dies diese"),
    neutral=_words("ist sind es sie wir hier auch dazu dieser artikel"),
    negators=_words("kein keine keinen keiner nicht ohne nie niemal weder noch außer nicht frei"),
    after=_words("frei fest optik imitat ähnlich"),
    before=_words("kunst imitiert künstlich vegan"),
)

FRENCH = Lexicon(
    roles=_roles("avec; pour; de: du des d'; en; à: au aux; par; sur; dans; comme"),
    passing=_words("le la les l' un une et ou ce cette ces"),
    neutral=_words("est sont il elle vou nou ici aussi article"),
    negators=_words("ne pa pas san sans aucun aucune jamai jamais ni non sauf n'est"),
    before=_words("faux fausse simili imitation similicuir"),
    after=_words("synthétique artificiel végétal imitation"),
)

SPANISH = Lexicon(
    roles=_roles("con: tiene; para; de: del; en; a: al; por; sobre; como"),
    passing=_words("el la lo los las un una y o este esta estos estas"),
    neutral=_words("es son usted aquí también artículo"),
    negators=_words("no sin nunca ni ningún ninguna jamá jamás salvo excepto"),
    before=_words("falso falsa imitación"),
    after=_words("sintético sintética artificial imitación vegano vegana"),
)

CHINESE = Lexicon(
    roles={},
    passing=frozenset(),
    neutral=_words("的 是 和 与 及 或 这 这款 这个 该 此 在 您 本 商品 为 了 有 带"),
    negators=_words("不 无 没 非 未 免 勿 仿 假 人造 除 没有"),
)

LEXICA: dict[Language, Lexicon] = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "zh": CHINESE,
}
