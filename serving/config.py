"""Settings of the serving room, in one place: what an answer looks like and how often we look."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from serving.answers.config import AnswersConfig
from serving.search.config import SearchConfig
from stream.errors import SettingsError

DAY_S = 86_400.0


class ServingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are batched, answered, diversified and explained.

    The filters of seen items are off by default, because many shops live on repeats (tea, ink,
    nappies): only the item that the shopper looks at right now is always hidden.
    """

    max_batch: Annotated[
        int, Meta(ge=1, le=4096, description="requests answered in one micro-batch at most")
    ] = 128
    poll_ms: Annotated[
        int, Meta(ge=1, le=10_000, description="longest wait for requests; they end it at once")
    ] = 100
    follow_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="pause between two looks for new items and models")
    ] = 100
    instance: Annotated[
        str,
        Meta(
            max_length=249,
            description="a name unique among serving processes and the same after a restart: the "
            "group then gives a restarted one its partitions back at once; empty: none",
        ),
    ] = ""
    session_timeout_s: Annotated[
        float,
        Meta(
            ge=6,
            le=300,
            description="a process silent for this long loses its partitions, and a transaction "
            "open for this long is undone",
        ),
    ] = 10.0
    request_max_age_s: Annotated[
        float,
        Meta(
            ge=0,
            description="a request that waited longer gets an empty answer with the path `expired` "
            "at once; 0: none does",
        ),
    ] = 0.0
    fresh_first: Annotated[
        bool,
        Meta(
            description="answer the newest of the waiting requests first, where more wait than can "
            "be answered; needs request_max_age_s, by which the others expire"
        ),
    ] = False
    look_ahead: Annotated[
        int,
        Meta(ge=1, le=100_000, description="waiting requests that fresh_first chooses from"),
    ] = 4_000
    repeat_window_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="a request that comes again under its request_id gets the same answer for "
            "so long after the first; it is also read back from `recommendations` at a start. A "
            "worker that falls behind further than this takes a late copy for a new request",
        ),
    ] = 120.0
    repeat_memory_mb: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="what the answers kept for that may take; 64 hold some 30,000 lists of 10",
        ),
    ] = 64
    model: Annotated[
        str, Meta(description="the key in `adapters` to follow; empty follows every model there")
    ] = ""

    push: Annotated[
        bool, Meta(description="also send recommendations after a user's own events")
    ] = False
    push_k: Annotated[int, Meta(ge=1, le=200, description="items in a pushed list")] = 10
    push_debounce_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="after a push, a user's further events wait this long: what a page "
            "reports together is answered together, and nobody reads two lists in that time",
        ),
    ] = 0.2
    push_max_age_s: Annotated[
        float, Meta(gt=0, description="events older than this are never answered with a push")
    ] = 60.0
    push_max_users: Annotated[
        int, Meta(ge=1, description="users remembered for the debounce: the bound on its memory")
    ] = 100_000

    pool: Annotated[
        int, Meta(ge=1, le=2000, description="ranked candidates from which a list is picked")
    ] = 60
    mmr_lambda: Annotated[
        float,
        Meta(ge=0, le=1, description="1 keeps the model's order, lower mixes unlike items in"),
    ] = 0.8
    near_duplicate: Annotated[
        float,
        Meta(
            ge=0,
            le=2,
            description="text similarity from which two items count as the same; above 1 is off",
        ),
    ] = 0.98
    category_cap: Annotated[
        int,
        Meta(
            ge=0,
            le=200,
            description="items of one category in a list, as long as there are others; 0: any",
        ),
    ] = 0
    one_of_a_product: Annotated[
        bool,
        Meta(
            description="a list holds a product in one colour or size, as long as there are others"
        ),
    ] = True
    cache_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="an equal request gets the same list for so long, as long as nothing of "
            "its user, the catalogue and the model has changed; 0: every list is made anew",
        ),
    ] = 0.0
    cache_lists: Annotated[
        int, Meta(ge=1, description="lists kept for that; each takes some 5 kB")
    ] = 10_000
    hide_seen_s: Annotated[
        float, Meta(ge=0, description="hide items that the user looked at this recently; 0 is off")
    ] = 0.0
    hide_bought_s: Annotated[
        float, Meta(ge=0, description="hide items bought or reviewed this recently; 0 is off")
    ] = 0.0

    because_evidence: Annotated[
        float,
        Meta(
            ge=0,
            description="evidence from which a past step explains an item: 0.1 is a tenth "
            "of all moves from the one to the other, or a text half alike",
        ),
    ] = 0.1
    because_similarity: Annotated[
        float,
        Meta(ge=0, le=1, description="text similarity from which a past item explains another"),
    ] = 0.5
    sentences: Annotated[
        bool,
        Meta(
            description="each item of a list carries a sentence about it: a template's, or where "
            "learner.texts names a model, the model's, if it says nothing that no source says"
        ),
    ] = False
    explore_share: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description="share of places that new items are tried out in, the last of a list; what "
            "came with the catalogue's first load is not new. 0: none",
        ),
    ] = 0.05
    ads: Annotated[
        bool,
        Meta(
            description="sell places to items of the kind `ad`; needs outcomes.on, without which "
            "nobody knows how often they are clicked"
        ),
    ] = False
    ad_places: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=200)], ...],
        Meta(
            description="places of each list that are sold, from 1; none: those of the surface ads"
        ),
    ] = ()
    ad_reserve: Annotated[
        float,
        Meta(ge=0, description="what showing an ad must be worth at least, in the shop's money"),
    ] = 0.0
    ads_per_user: Annotated[
        int, Meta(ge=1, description="how often a user is shown the same ad in a day (UTC)")
    ] = 10
    new_item_s: Annotated[
        float, Meta(ge=0, description="how long an item is called new after it arrived")
    ] = 7 * DAY_S

    retry_first_s: Annotated[
        float, Meta(gt=0, description="first wait while a broker or store is away; it doubles")
    ] = 0.2
    retry_longest_s: Annotated[float, Meta(gt=0, description="longest wait between two tries")] = (
        5.0
    )
    send_timeout_s: Annotated[
        float, Meta(gt=0, description="how long answers may take to be acked before a retry")
    ] = 30.0

    search: SearchConfig = SearchConfig()
    answers: AnswersConfig = AnswersConfig()

    def __post_init__(self) -> None:
        """Refuse what would keep requests waiting for ever, or answer them twice in two ways."""
        if self.fresh_first and not self.request_max_age_s:
            msg = (
                "serving.fresh_first is true and serving.request_max_age_s is 0: the oldest "
                "requests would wait as long as new ones come; set serving.request_max_age_s, to "
                "10 for instance"
            )
            raise SettingsError(msg)
        if self.fresh_first and self.repeat_window_s < 2 * self.request_max_age_s:
            msg = (
                f"serving.repeat_window_s is {self.repeat_window_s:g} with serving.fresh_first: "
                "answers given ahead of their turn would be forgotten before it comes; set at "
                f"least twice serving.request_max_age_s, {2 * self.request_max_age_s:g}"
            )
            raise SettingsError(msg)
