"""Where a question goes before anything is looked up: to a person, into search, into a table."""

from __future__ import annotations

import re
from typing import NamedTuple

from stream.asked import HandOverReason

_HAN = re.compile(r"[⺀-鿿]")

_PERSON = (
    r"\b(speak|talk|chat|connect me|put me through) (to|with) (a |an |the |some)?"
    r"(real |live )?(human|person|agent|someone|representative|operator|employee|staff)\b|"
    r"\b(real|live) (person|human|agent)\b|人工|转客服|找客服|真人"
)
_COMPLAINT = (
    r"\b(complain|complaint|scam|rip.?off|unacceptable)\b|"
    r"\b(arrived|came|delivered|received|got|sent me|was) .{0,40}"
    r"\b(damaged|broken|defective|faulty|wrong (item|product|size|colou?r)|cracked|torn)\b|"
    r"\b(wrong (item|product)|missing parts?) .{0,20}\b(sent|came|arrived|delivered)\b|"
    r"投诉|发错|少发|收到.{0,8}(坏|破|碎|损)|骗"
)
_ORDER = (
    r"\b(where|when|what|how).{0,20}\b(is|are|will|about|happened to|did)\b.{0,20}\bmy "
    r"(order|package|parcel|delivery|shipment|refund|money|purchase)\b|"
    r"\bmy (order|package|parcel|shipment)\b|\border (number|no\.?|#|id)|\border #?\d{3,}|"
    r"\b(haven'?t|have not|didn'?t|did not|never|not yet) (yet )?"
    r"(received?|get|got|arrived?)\b|"
    r"\b(cancel|change|track|return) my (order|purchase|parcel|package)\b|\bstill waiting for\b|"
    r"我的(订单|快递|包裹|退款|货)|订单号|(快递|包裹|货).{0,6}(到哪|没到|还没)|没收到|取消订单|"
    r"查.{0,2}订单"
)
_REASONS: tuple[tuple[HandOverReason, re.Pattern[str]], ...] = (
    ("person", re.compile(_PERSON, re.IGNORECASE)),
    ("complaint", re.compile(_COMPLAINT, re.IGNORECASE)),
    ("order", re.compile(_ORDER, re.IGNORECASE)),
)

_COMPARE = re.compile(
    r"\bcompar(e|ed|ison|ing)\b|\bdifferences? between\b|\bdiffer(s|ent)? from\b|\bvs\.?(?!\w)|"
    r"\bversus\b|\b(which|what)( one)? (is|are) (the )?(better|cheaper|lighter|heavier|bigger|"
    r"smaller|best)\b|\bbetter than\b|比较|对比|区别|差别|"
    r"哪个(更|比较)?(好|便宜|轻|重|大|小)|和.{1,40}比",
    re.IGNORECASE,
)

_FIND = re.compile(
    r"\b(find|show|recommend|suggest|get|give) (me|us)\b|\b(i'?m|i am|we'?re) looking for\b|"
    r"\blooking for\b|\bi (need|want)\b(?! to (know|return|cancel|speak|talk|complain|ask))|"
    r"\b(do you (have|sell|carry)|have you got) (any|a|an|some)\b|\bsearch for\b|"
    r"\b(can|could) you (find|recommend|suggest|show)\b|"
    r"\bany (good )?(suggestion|recommendation)s?\b|"
    r"\bwhat (would|do|should) (you|i) (recommend|buy|get)\b|\bhelp me (find|choose|pick)\b|"
    r"帮我找|找(一|个|款|件)|推荐|想买|想要|有没有(?!货).{0,12}(卖|推荐)|有什么.{0,10}(推荐|好)|给我看",
    re.IGNORECASE,
)  # fmt: skip

_ASKING = re.compile(
    r"^\W*(is|are|does|do|did|has|have|can|could|how (?!about)|what(?! about)|why|where|when|"
    r"who)\b|"
    r"[吗呢]|多[重大长高宽少]|怎么|为什么",
    re.IGNORECASE,
)

_POLICY = re.compile(
    r"\b(returns?|returned|refunds?|exchanges?|ship(s|ping|ped|ment)?|deliver(y|ed|s|ies)?|"
    r"warrant(y|ies)|guarantees?|pay|payments?|paypal|credit card|invoice|vat|tax|customs|"
    r"privacy|my data|account|password|newsletter|coupons?|vouchers?|discounts?|"
    r"gift ?(card|wrap)\w*|opening hours|store hours|pick ?up|cancel(lation|ling)?|policy|"
    r"policies|terms|postage|abroad|international)\b|"
    r"退货|退款|换货|运费|发货|配送|快递|送货|保修|质保|发票|付款|支付|优惠券|隐私|政策|几天到",
    re.IGNORECASE,
)

FEWEST_WORDS_OF_A_REFINEMENT = 10


class Heard(NamedTuple):
    """Which way a question goes at once, if any, and why."""

    way: str
    reason: HandOverReason | None = None


def first_way(question: str, *, searching: bool = False) -> Heard | None:
    """Where a question goes by its own words.

    Parameters
    ----------
    searching
        Whether the conversation is about finding something: then "cheaper" goes on with that.

    Examples
    --------
    >>> first_way("Where is my order?").reason, first_way("How do I return an item?")
    ('order', None)
    >>> first_way("Find me a tea pot under 30").way, first_way("cheaper please")
    ('find', None)
    >>> first_way("cheaper please", searching=True).way, first_way("Compare it with the Acme").way
    ('find', 'compare')
    """
    for reason, pattern in _REASONS:
        if pattern.search(question):
            return Heard("hand-over", reason)
    if _COMPARE.search(question):
        return Heard("compare")
    if _FIND.search(question):
        return Heard("find")
    if (
        searching
        and not _ASKING.search(question)
        and len(question.split()) <= (FEWEST_WORDS_OF_A_REFINEMENT)
    ):
        return Heard("find")
    return None


def about_policy(question: str) -> bool:
    """Whether a question is about how the shop works, whatever item it is asked beside."""
    return _POLICY.search(question) is not None


def in_chinese(question: str) -> bool:
    """Whether a question is written in Chinese characters.

    >>> in_chinese("吵吗"), in_chinese("Is it loud?")
    (True, False)
    """
    return _HAN.search(question) is not None
