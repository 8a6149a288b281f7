"""What the dashboard shows: every panel with its queries, and what a rise in it means.

Each process exposes the whole page of metrics, so a gauge is asked only of the process that sets
it (`process` is the label that `infra/prometheus/prometheus.yml` gives every target). A counter
with labels has no series before its first count: `or on() vector(0)` draws the zero that is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "s", "ops", "percentunit", "reqps", "bytes"]

ZERO = " or on() vector(0)"
"""Zero where the left side has no series at all; without `on()` it would be drawn beside others."""


OF_TENANT = 'tenant=~"$tenant"'
"""Shows the shops that are chosen above the dashboard; without tenants, the one there is."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression, and how its lines are named."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One picture: a line over time, or a single number."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    single: bool = False
    width: int = 8


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, *by: str) -> str:
    """Counts per second, summed over processes, zero where nothing was counted yet.

    >>> rate("x_total", "kind")
    'sum by (kind) (rate(x_total[$__rate_interval])) or on() vector(0)'
    """
    grouped = f"sum by ({', '.join(by)})" if by else "sum"
    return f"{grouped} (rate({metric}[$__rate_interval])){ZERO}"


def quantile(fraction: float, metric: str, *by: str) -> str:
    """A quantile of a histogram over the rate interval.

    >>> quantile(0.5, "x_seconds", "stage")
    'histogram_quantile(0.5, sum by (le, stage) (rate(x_seconds_bucket[$__rate_interval])))'
    """
    labels = ", ".join(("le", *by))
    buckets = f"rate({metric}_bucket[$__rate_interval])"
    return f"histogram_quantile({fraction}, sum by ({labels}) ({buckets}))"


def if_any(expr: str) -> str:
    """What may never have happened, as zero until it has: no number there is none to draw.

    >>> if_any("x")
    '(x >= 0) or on() vector(0)'
    """
    return f"({expr} >= 0){ZERO}"


def mean(metric: str, *by: str) -> str:
    """The mean of a histogram's observations over the rate interval."""
    grouped = f"sum by ({', '.join(by)})"
    top = f"{grouped} (rate({metric}_sum[$__rate_interval]))"
    return f"{top} / {grouped} (rate({metric}_count[$__rate_interval]))"


OVERVIEW = Row(
    "Overview",
    (
        Panel(
            "Processes ready",
            "How many roles have their partitions and their state. Three is the whole stack; "
            "a fall means that one starts, recovers or is gone.",
            (Query('sum(tidemill_role_ready{process!="supervisor"})', "ready"),),
            single=True,
            width=4,
        ),
        Panel(
            "Events per second",
            "Raw records that ingest has dealt with. A rise is more traffic from the shop.",
            (Query(rate("tidemill_ingest_records_total"), "events"),),
            unit="ops",
            single=True,
            width=4,
        ),
        Panel(
            "Unread records",
            "The largest backlog of one role on one topic. A lasting rise means too few workers.",
            (Query(f"max(tidemill_consumer_lag_records){ZERO}", "records"),),
            single=True,
            width=4,
        ),
        Panel(
            "Model version in use",
            "The version that serving answers with. It should rise: a flat line means that "
            "nothing new is learnt, or that nothing new is better.",
            (Query('max(tidemill_adapter_version{process="serving"})', "version"),),
            single=True,
            width=4,
        ),
        Panel(
            "Restarts",
            "Role processes restarted after a crash in the shown time. Any rise is an incident.",
            (Query(f"sum(increase(tidemill_role_restarts_total[$__range])){ZERO}", "restarts"),),
            single=True,
            width=4,
        ),
        Panel(
            "Dead letters",
            "Records refused in the shown time. A rise means that a producer sends rubbish.",
            (Query(f"sum(increase(tidemill_dead_letters_total[$__range])){ZERO}", "records"),),
            single=True,
            width=4,
        ),
        Panel(
            "Accuracy before learning",
            "NDCG@10 of each example, ranked before it is learnt, as a decayed mean. `online` "
            "should lie above `popularity`; a rise is better answers, a lasting fall is drift.",
            (
                Query(
                    f'tidemill_prequential_ndcg10{{process="learner",{OF_TENANT}}}',
                    "{{model}} {{tenant}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Age of events, 99th percentile",
            "Time from the shop's record to the end of each stage. A rise means staler answers.",
            (Query(quantile(0.99, "tidemill_event_age_seconds", "stage"), "{{stage}}"),),
            unit="s",
            width=12,
        ),
    ),
)

STREAM = Row(
    "Stream",
    (
        Panel(
            "Raw records by outcome",
            "What ingest made of the shop's records. A rise in duplicates means that a producer "
            "sends again, a rise in refusals that it sends rubbish.",
            (
                Query(
                    rate("tidemill_ingest_records_total", "topic", "outcome"),
                    "{{topic}} {{outcome}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Unread records by topic",
            "Records not yet consumed. A lasting rise means that the role needs more workers.",
            (
                Query(
                    f"sum by (role, topic) (tidemill_consumer_lag_records){ZERO}",
                    "{{role}} {{topic}}",
                ),
            ),
        ),
        Panel(
            "Dead letters by reason",
            "Refused records by role and reason. A rise names the producer's fault.",
            (Query(rate("tidemill_dead_letters_total", "role", "reason"), "{{role}} {{reason}}"),),
            unit="ops",
        ),
        Panel(
            "Records per micro-batch",
            "The mean size of the runs that a stage works on. A rise means that it catches up.",
            (Query(mean("tidemill_run_records", "stage"), "{{stage}}"),),
        ),
        Panel(
            "Seconds per micro-batch, 95th percentile",
            "The time that one run takes. A rise means slower work or larger batches.",
            (Query(quantile(0.95, "tidemill_run_seconds", "stage"), "{{stage}}"),),
            unit="s",
        ),
        Panel(
            "Calls repeated",
            "Calls made again because the broker or the store was away. A rise is an outage.",
            (Query(rate("tidemill_retries_total", "role"), "{{role}}"),),
            unit="ops",
        ),
        Panel(
            "Waiting for a neighbour",
            "Agents that hold a run and wait for a broker or store that is away: their partitions "
            "stand still, nothing is dropped. A lasting rise is an outage.",
            (Query("sum by (role) (tidemill_waiting)", "{{role}}"),),
        ),
        Panel(
            "Refused because of us",
            "Of each agent's newest 1,000 records, those on which Tidemill itself failed. A rise "
            "means a fault in it or in what it needs; above 50 the agent halts.",
            (Query("max by (role) (tidemill_refused_ours_records)", "{{role}}"),),
        ),
        Panel(
            "Events in profiles",
            "Events applied to users' profiles, and repeats left out. A rise in repeats follows "
            "a restart and goes away by itself.",
            (Query(rate("tidemill_profile_events_total", "outcome"), "{{outcome}}"),),
            unit="ops",
        ),
        Panel(
            "New users, forgotten users, interest shifts, users described",
            "Users seen for the first time, users who were erased, users whose interest moved, and "
            "users who were described in words, which follows from the first and the third. A rise "
            "in shifts means a changing season, or too sensitive a detector.",
            (
                Query(rate("tidemill_profile_users_total"), "new users"),
                Query(rate("tidemill_forgotten_users_total"), "forgotten users"),
                Query(rate("tidemill_interest_shifts_total"), "interest shifts"),
                Query(rate("tidemill_profile_texts_total"), "users described"),
            ),
            unit="ops",
        ),
        Panel(
            "Ads shown",
            "Ads in lists, where `serving.ads` is set. A fall means that budgets are spent, that "
            "bids are below the reserve, or that fewer lists are asked for.",
            (Query(rate("tidemill_ads_shown_total"), "shown"),),
            unit="ops",
        ),
        Panel(
            "Money spent on ads, per second",
            "What ads pay for being shown, by the second prices of their places. Where budgets "
            "limit it, it is even over the day; a fall means spent budgets or fewer lists.",
            (Query(rate("tidemill_ads_spent_total"), "spent"),),
        ),
        Panel(
            "Calibration error by surface",
            "How far predicted and observed clicks lie apart, as a share of shown items, where "
            "`outcomes.on` is set. A rise above 0.01 means that probabilities of clicks, and what "
            "ads are worth by them, are off.",
            (Query("max by (surface) (tidemill_calibration_error_ratio)", "{{surface}}"),),
        ),
        Panel(
            "Predicted by observed clicks",
            "Clicks that calibration predicted by those that came, lately. A rise above 1 means "
            "that it promises too much, a fall below too little; 0.95 to 1.05 is right.",
            (
                Query(
                    "max by (surface) (tidemill_calibration_predicted_by_observed_ratio)",
                    "{{surface}}",
                ),
            ),
        ),
        Panel(
            "What became of what was shown",
            "Shown items by what became of them, where `outcomes.on` is set: taken is a click or "
            "cart, closed the end of a touched item without a purchase, passed_over an item "
            "that nobody touched in time. A rise of passed_over beside taken means worse lists.",
            (Query(rate("tidemill_outcomes_total", "outcome"), "{{outcome}}"),),
            unit="ops",
        ),
        Panel(
            "Online store, 95th percentile",
            "Time of one read or write of the online store. A rise delays every answer.",
            (Query(quantile(0.95, "tidemill_online_store_seconds", "operation"), "{{operation}}"),),
            unit="s",
        ),
        Panel(
            "Online store rows",
            "Users' rows read and written. A rise is more traffic.",
            (Query(rate("tidemill_online_store_rows_total", "operation"), "{{operation}}"),),
            unit="ops",
        ),
    ),
)

LEARNER = Row(
    "Learner",
    (
        Panel(
            "Examples by outcome",
            "Examples learnt, left out as learnt before, or of an unknown item. A rise in "
            "unknown items means that events come before their items; once these come, the "
            "events are counted as late ones.",
            (
                Query(
                    rate(f"tidemill_learner_examples_total{{{OF_TENANT}}}", "outcome"),
                    "{{outcome}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Gradient steps",
            "Steps taken per second. A fall under full traffic means larger batches or a "
            "learner that is out of breath.",
            (Query(rate("tidemill_learner_updates_total"), "steps"),),
            unit="ops",
        ),
        Panel(
            "Loss before learning",
            "Loss of the newest micro-batch before it is learnt. A lasting rise means drift or "
            "divergence.",
            (Query('tidemill_learner_loss{process="learner"}', "loss"),),
        ),
        Panel(
            "Learning rate's factor",
            "1 in quiet times. It jumps up on a drift signal and decays back.",
            (Query('tidemill_learner_rate{process="learner"}', "factor"),),
        ),
        Panel(
            "Drift signals",
            "Detections in the shown step, by detector. A rise means that the shop is changing.",
            (
                Query(
                    "sum by (detector) (increase(tidemill_drift_signals_total"
                    f"[$__rate_interval])){ZERO}",
                    "{{detector}}",
                ),
            ),
        ),
        Panel(
            "Model versions by decision",
            "What the gate decided on each candidate. A rise in `held` means that learning makes "
            "nothing better at present, one in `rolled-back` or `restored` that it was misled.",
            (
                Query(
                    f"sum by (decision) (tidemill_adapters_published_total){ZERO}", "{{decision}}"
                ),
            ),
        ),
        Panel(
            "Seconds per checkpoint, 95th percentile",
            "The time to make what was learnt durable. A rise means a slow disk or a larger model.",
            (Query(quantile(0.95, "tidemill_checkpoint_seconds"), "checkpoint"),),
            unit="s",
        ),
        Panel(
            "Catalogue",
            "Items known to each process. All should agree; a rise is a growing catalogue.",
            (
                Query(
                    f"sum by (process, state) (tidemill_catalogue_items{{{OF_TENANT}}}){ZERO}",
                    "{{process}} {{state}}",
                ),
            ),
        ),
        Panel(
            "Items with a learnt vector",
            "Items that were admitted to a vector of their own. It rises with the items that are "
            "alive; a flat line at `learner.model.residuals_max` means that the cap is reached.",
            (Query('tidemill_learner_residuals{process="learner"}', "items"),),
        ),
        Panel(
            "Memory of the learner's tables",
            "What the learner holds, by table. A rise is a growing catalogue; the versions that "
            "the gate compares hold the same again, but for replay.",
            (Query('tidemill_learner_bytes{process="learner"}', "{{table}}"),),
            unit="bytes",
        ),
        Panel(
            "Student beside its base",
            "Of the base's ten best items, the share that are also the student's, which is served; "
            "its accuracy is in the overview. A fall means that the student doesn't follow.",
            (Query('tidemill_student_agreement{process="learner"}', "agreement"),),
            unit="percentunit",
        ),
        Panel(
            "Users with few events",
            "Lists per second that the newcomers' layer had a say in, and how much it counts, from "
            "0 to 1. A rise in lists means new users, a weight near 0 that it brings nothing.",
            (
                Query(
                    'sum by (events) (rate(tidemill_newcomers_ranked_total{process="serving"}'
                    f"[$__rate_interval])){ZERO}",
                    "lists, {{events}} events",
                ),
                Query(
                    if_any('tidemill_newcomers_weight{process="learner"}'),
                    "weight, {{events}} events",
                ),
            ),
        ),
        Panel(
            "Items encoded",
            "Item texts turned into vectors. A rise is a change in the catalogue.",
            (Query(rate("tidemill_encoded_items_total"), "items"),),
            unit="ops",
        ),
    ),
)

REVIEWS = Row(
    "Reviews",
    (
        Panel(
            "Reviews by what they say",
            "What the words of reviews sound like, whatever their stars. A rise of negative ones "
            "means that something is wrong with what was sold.",
            (Query(rate("tidemill_read_reviews_total", "sentiment"), "{{sentiment}}"),),
        ),
        Panel(
            "Stars off, median and 90th percentile",
            "How far a review's words are from its rating, before it is learnt. A rise means "
            "another language, or ratings that say nothing.",
            (
                Query(quantile(0.5, "tidemill_reader_error_stars"), "median"),
                Query(quantile(0.9, "tidemill_reader_error_stars"), "90th percentile"),
            ),
        ),
        Panel(
            "Readings heard by profiles",
            "Readings that reached their user's profile. A rise in `passed` means that their users "
            "are forgotten or unknown.",
            (Query(rate("tidemill_profile_readings_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Examples that teach nothing",
            "Events that no shopper means, by reason, since the learner's start. A rise means a "
            "script at work, or a page that reports twice.",
            (Query("tidemill_learner_noise_examples", "{{reason}}"),),
        ),
    ),
)

SERVING = Row(
    "Serving",
    (
        Panel(
            "Places for new items",
            "Places of lists in which new items are tried out. A rise means that many items came, "
            "or a larger `serving.explore_share`.",
            (Query(rate("tidemill_explored_places_total"), "places"),),
        ),
        Panel(
            "Lists made and reused",
            "Lists that were made, and lists given again to an equal request (`serving.cache_s`). "
            "A rise in reused ones saves time; where there are few, it is better turned off.",
            (Query(rate("tidemill_lists_total", "outcome"), "{{outcome}}"),),
            unit="ops",
        ),
        Panel(
            "Answers by path",
            "Recommendations sent, by the way they were made and what asked for them. A rise "
            "in `no_model` or `empty_catalogue` means that serving lacks its inputs, one in "
            "`expired` that requests wait too long.",
            (
                Query(
                    rate(f"tidemill_answers_total{{{OF_TENANT}}}", "path", "trigger"),
                    "{{path}} {{trigger}}",
                ),
                Query(rate("tidemill_repeated_answers_total"), "sent again"),
            ),
            unit="reqps",
        ),
        Panel(
            "Requests waiting in serving",
            "Requests read and not answered yet, where the newest are answered first. A rise means "
            "that more is asked than can be answered.",
            (Query("tidemill_requests_waiting", "{{process}}"),),
        ),
        Panel(
            "Seconds per micro-batch of answers, 99th percentile",
            "Where an answer's time goes. A rise in `features` points at the online store, one "
            "in `score` at the model or the catalogue's size.",
            (Query(quantile(0.99, "tidemill_answer_seconds", "phase"), "{{phase}}"),),
            unit="s",
        ),
        Panel(
            "Searches",
            "Searches by what came of them. A rise of `nothing` means that shoppers ask for what "
            "the shop doesn't have, or calls otherwise: `tidemill search misses` lists it.",
            (Query(rate("tidemill_searches_total", "outcome"), "{{outcome}}"),),
            unit="reqps",
        ),
        Panel(
            "Seconds per search, 99th percentile",
            "Where a search's time goes. A rise in `meaning` points at the encoder, one in `model` "
            "at the catalogue's size.",
            (Query(if_any(quantile(0.99, "tidemill_search_seconds", "part")), "{{part}}"),),
            unit="s",
        ),
        Panel(
            "What search learns",
            "How unlikely the newest clicked item was before it was learnt, in nats, and how much "
            "who asks decides the order. A rise of the former means a worse order.",
            (
                Query("tidemill_search_loss", "loss, {{process}}"),
                Query(
                    if_any("avg by (query, visitor) (tidemill_search_personal_share)"),
                    "personal share, {{query}} query, {{visitor}} visitor",
                ),
                Query(rate("tidemill_search_clicks_total"), "clicks/s"),
            ),
        ),
        Panel(
            "Items that can't be found yet",
            "Items that are not in the index of search yet. A lasting rise means that items change "
            "faster than serving.search.slice_ms lets them in.",
            (Query("max by (process) (tidemill_search_waiting_items)", "{{process}}"),),
        ),
        Panel(
            "Questions",
            "Questions by the way they were answered. A rise of `unknown` means that shoppers ask "
            "what no item, review or document says.",
            (Query(rate("tidemill_questions_total", "route"), "{{route}}"),),
            unit="reqps",
        ),
        Panel(
            "Seconds per question, 99th percentile",
            "Time to answer a question, without its list. A rise means longer texts, or a busy "
            "machine: serving.answers.passages says how much is read.",
            (Query(if_any(quantile(0.99, "tidemill_question_seconds")), "p99"),),
            unit="s",
        ),
        Panel(
            "Texts that questions are answered from",
            "Reviews and documents that serving holds. A fall of reviews means that the topic "
            "`reviews` forgets them, or that serving.answers.review_memory_mb is full.",
            (Query("max by (kind) (tidemill_known_texts)", "{{kind}}"),),
        ),
        Panel(
            "Answers in a model's words",
            "Answers that a model was to word, by what spoke. A rise of `quotation` means that "
            "more of its drafts say what no cited place says.",
            (Query(rate("tidemill_phrased_answers_total", "by"), "{{by}}"),),
            unit="reqps",
        ),
        Panel(
            "Model version by process",
            "The version that each process uses. Serving follows the learner within seconds; a "
            "rise in the gap means that versions are refused.",
            (
                Query(
                    f'tidemill_adapter_version{{process=~"learner|serving",{OF_TENANT}}}',
                    "{{process}} {{tenant}}",
                ),
            ),
        ),
        Panel(
            "Model versions loaded",
            "Hot swaps by outcome. A rise in refusals means damaged or foreign model files.",
            (Query(f"sum by (outcome) (tidemill_adapter_swaps_total){ZERO}", "{{outcome}}"),),
        ),
    ),
)

ROWS = (OVERVIEW, STREAM, LEARNER, REVIEWS, SERVING)
"""The dashboard from top to bottom."""
