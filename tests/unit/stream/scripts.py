"""Texts in any script, as hypothesis draws them: what no stage may change or tear apart."""

from __future__ import annotations

from hypothesis import strategies as st

LETTERS = tuple("茉莉绿茶，。！「」𠮷ぁアｱ한سماعةـאßİéﬁतपर x1👍❤")
"""Each is one character to a reader."""

JOINED = (
    *("e\u0301", "e\u0301\u0323", "हि", "दी", "ก\u0e33", "ש\u05c1", "ᄒ\u1161\u11ab"),
    *("👩\u200d🚀", "👨\u200d👩\u200d👧\u200d👦", "👍🏽", "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3"),
    "🏴\U000e0067\U000e0062\U000e007f",
)
"""So are these, of several code points."""

SIGNS = (
    *("\u200f", "\u202b", "\u2066", "\u200b", "\u200d", "\u00ad", "\ufeff", "\u0301"),
    *("\u2028", "\u3000", "\u0085", *"\t\n\\\"'{}[]|<>&%"),
)
"""Directions, joiners, spaces, and what means something to a parser."""

characters = st.sampled_from((*LETTERS, *JOINED))
any_script = st.lists(characters | st.sampled_from(SIGNS) | st.text(max_size=3), max_size=40).map(
    "".join
)
