"""What an answer says around what it quotes, in the language of the question."""

from __future__ import annotations

from typing import NamedTuple

MOST_QUOTED = 400
"""Letters of a quotation in an answer's text; the citation has all of it."""


class Phrases(NamedTuple):
    """Texts with places for names, numbers and quotations."""

    field: str
    no_field: str
    opinion: str
    otherwise: str
    divided: str
    review: str
    document: str
    unknown: str
    unknown_item: str
    no_item: str
    one_item: str
    found: str
    order: str
    complaint: str
    person: str


ENGLISH = Phrases(
    field="{name}: {value}.",
    no_field="I don't know: the shop's data doesn't say the {name} of this item. "
    "The shop could add it, or a person can find out.",
    opinion="{say} of {all} shoppers who mention it say so: “{quote}”",
    otherwise="{deny} of {all} shoppers who mention it say otherwise: “{quote}”",
    divided=" {count} say the opposite: “{quote}”",
    review="A shopper writes: “{quote}”",
    document="{title}: “{quote}”",
    unknown="I don't know: neither the items, nor reviews, nor the shop's documents say it. "
    "Another wording may help, or a person can answer.",
    unknown_item="I don't know: neither this item's data nor its {reviews} reviews nor the shop's "
    "documents say it. A shopper who has it could, or a person.",
    no_item="I don't know which item you mean. Ask on its page, or name it.",
    one_item="I can't tell which two items to compare. Name both, or ask on the page of one.",
    found="This is what I found for: {wishes}.",
    order="This is about your own order, which I can't see. I have handed it over to a person.",
    complaint="I am sorry. I have handed this over to a person.",
    person="I have handed this over to a person.",
)

CHINESE = Phrases(
    field="{name}：{value}。",
    no_field="不知道：商店的数据里没有这件商品的“{name}”。商店可以补充，或者请人工查一下。",
    opinion="提到这一点的{all}位顾客中有{say}位这么说：“{quote}”",
    otherwise="提到这一点的{all}位顾客中有{deny}位说不是：“{quote}”",
    divided="另有{count}位的说法相反：“{quote}”",
    review="一位顾客写道：“{quote}”",
    document="{title}：“{quote}”",
    unknown="不知道：商品、评价和商店的文件里都没有提到。换个说法也许有用，或者请人工回答。",
    unknown_item="不知道：这件商品的数据、{reviews}条评价和商店的文件里都没有提到。买过的顾客或人工可以回答。",
    no_item="不知道您指的是哪件商品。请在商品页提问，或者写出它的名字。",
    one_item="不知道要比较哪两件商品。请写出两件的名字，或者在其中一件的页面上提问。",
    found="按您的要求找到了：{wishes}。",
    order="这涉及您自己的订单，我看不到。已经转给人工处理。",
    complaint="很抱歉。已经转给人工处理。",
    person="已经转给人工处理。",
)


def phrases(*, chinese: bool) -> Phrases:
    """Phrases of a language."""
    return CHINESE if chinese else ENGLISH


def shortened(quote: str) -> str:
    """A quotation as an answer shows it."""
    one_line = " ".join(quote.split())
    return one_line if len(one_line) <= MOST_QUOTED else one_line[: MOST_QUOTED - 1] + "…"
