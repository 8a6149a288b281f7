"""Every metric that Tidemill exposes, on one page.

Base units; counters end in `_total`; labels come from closed sets, never from what a producer
sends. `tenant` is one of `tenants.names`, and empty for the shop without a name. A metric's help
says what a rise means.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FRESH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIZE = (1, 4, 16, 64, 256, 1024, 4096, 16384)

# Every role ------------------------------------------------------------------------------------

ROLE_READY = Gauge(
    "tidemill_role_ready",
    "1 once the role has its partitions and its state; 0 while it starts or recovers.",
    registry=REGISTRY,
)
RUN_RECORDS = Histogram(
    "tidemill_run_records",
    "Records in one micro-batch. A rise means that the role is catching up.",
    ["stage"],
    buckets=_SIZE,
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "tidemill_run_seconds",
    "Seconds spent on one micro-batch. A rise means slower work or larger batches.",
    ["stage"],
    buckets=_FAST_S,
    registry=REGISTRY,
)
EVENT_AGE_SECONDS = Histogram(
    "tidemill_event_age_seconds",
    "Seconds from the producer's record to the end of a stage. A rise means staler answers.",
    ["stage"],
    buckets=_FRESH_S,
    registry=REGISTRY,
)
DEAD_LETTERS = Counter(
    "tidemill_dead_letters_total",
    "Records refused and kept in dead-letters. A rise means that a producer sends rubbish; of "
    "`failed`, that Tidemill itself fails on records.",
    ["role", "reason"],
    registry=REGISTRY,
)
REFUSED_OURS = Gauge(
    "tidemill_refused_ours_records",
    "Of the newest 1,000 records, those that failed for a reason on our side. Above 50 the role "
    "halts; a rise means a fault in Tidemill or in what it needs.",
    ["role"],
    registry=REGISTRY,
)
WAITING = Gauge(
    "tidemill_waiting",
    "Agents that wait, with a run in hand and nothing dropped, for a broker or store that is "
    "away. A lasting rise means an outage.",
    ["role"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "tidemill_retries_total",
    "Calls repeated because a broker or store was away. A rise means an outage.",
    ["role"],
    registry=REGISTRY,
)

# Ingest ----------------------------------------------------------------------------------------

INGEST_RECORDS = Counter(
    "tidemill_ingest_records_total",
    "Raw records by what became of them. All three together are the shop's traffic.",
    ["topic", "outcome"],
    registry=REGISTRY,
)

# Profile and online features -------------------------------------------------------------------

PROFILE_EVENTS = Counter(
    "tidemill_profile_events_total",
    "Events by whether the profile applied them or had seen them before.",
    ["outcome"],
    registry=REGISTRY,
)
FORGOTTEN_USERS = Counter(
    "tidemill_forgotten_users_total",
    "Users whose state and online features were erased. A rise means that the shop asked for it.",
    registry=REGISTRY,
)
PROFILE_USERS = Counter(
    "tidemill_profile_users_total", "Users seen for the first time.", registry=REGISTRY
)
PROFILE_READINGS = Counter(
    "tidemill_profile_readings_total",
    "Readings of reviews by whether a profile has heard them, or their user is not known any more.",
    ["outcome"],
    registry=REGISTRY,
)
OUTCOMES = Counter(
    "tidemill_outcomes_total",
    "Shown items by what became of them: taken (a click or cart, told at once), bought, closed "
    "(its windows ended after a click), passed_over (nobody touched it).",
    ["outcome"],
    registry=REGISTRY,
)
CALIBRATION_ERROR = Gauge(
    "tidemill_calibration_error_ratio",
    "How far predicted and observed clicks lie apart, bin by bin, as a share of shown items.",
    ["surface", "tenant"],
    registry=REGISTRY,
)
CALIBRATION_RATIO = Gauge(
    "tidemill_calibration_predicted_by_observed_ratio",
    "Predicted clicks by observed ones, lately, before they were learnt.",
    ["surface", "tenant"],
    registry=REGISTRY,
)
ADS_SHOWN = Counter("tidemill_ads_shown_total", "Ads in lists that are out.", registry=REGISTRY)
ADS_SPENT = Counter(
    "tidemill_ads_spent_total",
    "What ads in lists that are out have paid, in the shop's money.",
    registry=REGISTRY,
)
PROFILE_TEXTS = Counter(
    "tidemill_profile_texts_total",
    "Users described in words. A rise follows new users and interest shifts.",
    registry=REGISTRY,
)
INTEREST_SHIFTS = Counter(
    "tidemill_interest_shifts_total",
    "Users whose interest moved. A rise means a changing season, or too sensitive a detector.",
    registry=REGISTRY,
)
ONLINE_STORE_SECONDS = Histogram(
    "tidemill_online_store_seconds",
    "Seconds of one read or write of Feast's online store. A rise delays every answer.",
    ["operation"],
    buckets=_FAST_S,
    registry=REGISTRY,
)
ONLINE_STORE_ROWS = Counter(
    "tidemill_online_store_rows_total",
    "Rows read from or written to Feast's online store.",
    ["operation"],
    registry=REGISTRY,
)

# Learner ---------------------------------------------------------------------------------------

LEARNER_EXAMPLES = Counter(
    "tidemill_learner_examples_total",
    "Examples by whether they were learnt, were learnt before, or have an unknown item; "
    "`late` ones were unknown and are counted now, those of an `other_variant` don't teach. A gap "
    "between learnt and unknown: items are missing.",
    ["outcome", "tenant"],
    registry=REGISTRY,
)
LEARNER_UPDATES = Counter(
    "tidemill_learner_updates_total", "Gradient steps taken.", registry=REGISTRY
)
LEARNER_NOISE = Gauge(
    "tidemill_learner_noise_examples",
    "Examples since the start that taught nothing, because no shopper means them: echoes, haste, "
    "metronomes. A rise means a script at work, or a page that reports twice.",
    ["reason"],
    registry=REGISTRY,
)
LISTS_REUSED = Counter(
    "tidemill_lists_total",
    "Lists by whether they were made, or reused for an equal request (serving.cache_s). No rise of "
    "what is reused where it is on: shoppers do something between any two requests.",
    ["outcome"],
    registry=REGISTRY,
)
EXPLORED_PLACES = Counter(
    "tidemill_explored_places_total",
    "Places of lists that were given to new items, to find out who takes them.",
    registry=REGISTRY,
)
READ_REVIEWS = Counter(
    "tidemill_read_reviews_total",
    "Reviews by what their words say. A rise of negative ones means that something is wrong with "
    "what was sold.",
    ["sentiment"],
    registry=REGISTRY,
)
READER_ERROR = Histogram(
    "tidemill_reader_error_stars",
    "How many stars a review's words are off from its rating, before it is learnt. A rise means "
    "another language, or ratings that say nothing.",
    buckets=(0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4),
    registry=REGISTRY,
)
LEARNER_LOSS = Gauge(
    "tidemill_learner_loss",
    "Prequential loss of the newest micro-batch. A lasting rise means drift or divergence.",
    registry=REGISTRY,
)
LEARNER_RATE = Gauge(
    "tidemill_learner_rate",
    "The learning rate's factor: above 1 after a drift signal, decaying back to 1.",
    registry=REGISTRY,
)
LEARNER_RESIDUALS = Gauge(
    "tidemill_learner_residuals",
    "Items with a learnt vector of their own. A rise means more live items; a cap holds it.",
    registry=REGISTRY,
)
LEARNER_BYTES = Gauge(
    "tidemill_learner_bytes",
    "Memory of the learner's tables. A rise means a growing catalogue; replay doesn't grow.",
    ["table"],
    registry=REGISTRY,
)
PREQUENTIAL_NDCG10 = Gauge(
    "tidemill_prequential_ndcg10",
    "NDCG@10 before learning, decayed mean over the newest examples. `online` should lead.",
    ["model", "tenant"],
    registry=REGISTRY,
)
STUDENT_AGREEMENT = Gauge(
    "tidemill_student_agreement",
    "Of the ten best items of the base, the share that are the student's as well, decayed mean "
    "over the newest examples. A fall means that what is served is no longer what is learnt.",
    registry=REGISTRY,
)
NEWCOMERS_RANKED = Counter(
    "tidemill_newcomers_ranked_total",
    "Users with few events whose lists the newcomers' layer had a say in, by whether there was "
    "any event. A rise means new users; none, that the layer is off.",
    ["events"],
    registry=REGISTRY,
)
NEWCOMERS_WEIGHT = Gauge(
    "tidemill_newcomers_weight",
    "How much the newcomers' layer counts beside the ranking alone, from 0 to 1, by what it "
    "gained of late. Near 0 it brings nothing.",
    ["events"],
    registry=REGISTRY,
)
DRIFT_SIGNALS = Counter(
    "tidemill_drift_signals_total",
    "Drift detections on the learner's loss or on the novelty of what users do. A rise means that "
    "the shop is changing.",
    ["detector"],
    registry=REGISTRY,
)
ADAPTERS_PUBLISHED = Counter(
    "tidemill_adapters_published_total",
    "Model versions by the gate's decision. A rise in `held`, `rolled-back` or `restored` means "
    "that what came lately taught nothing good.",
    ["decision"],
    registry=REGISTRY,
)
CHECKPOINT_SECONDS = Histogram(
    "tidemill_checkpoint_seconds",
    "Seconds to write one checkpoint.",
    buckets=_FAST_S,
    registry=REGISTRY,
)
CATALOGUE_ITEMS = Gauge(
    "tidemill_catalogue_items",
    "Items known to the role, by whether they may be recommended.",
    ["state", "tenant"],
    registry=REGISTRY,
)
ENCODED_ITEMS = Counter(
    "tidemill_encoded_items_total", "Item texts turned into vectors.", registry=REGISTRY
)

# Serving ---------------------------------------------------------------------------------------

ADAPTER_VERSION = Gauge(
    "tidemill_adapter_version",
    "The model version in use by the role. A flat line means that nothing new is learnt.",
    ["tenant"],
    registry=REGISTRY,
)
ADAPTER_SWAPS = Counter(
    "tidemill_adapter_swaps_total",
    "Model versions loaded, or refused because their hash or content was wrong.",
    ["outcome"],
    registry=REGISTRY,
)
ANSWERS = Counter(
    "tidemill_answers_total",
    "Recommendations sent, by the way they were made and what triggered them.",
    ["path", "trigger", "tenant"],
    registry=REGISTRY,
)
REPEATED_ANSWERS = Counter(
    "tidemill_repeated_answers_total",
    "Answers sent again, because a request came again under its id. A rise means that the shop's "
    "producer repeats itself, or that clients retry.",
    registry=REGISTRY,
)
REQUESTS_WAITING = Gauge(
    "tidemill_requests_waiting",
    "Requests read and not answered yet, where the newest are answered first. A rise means that "
    "more is asked than can be answered; at `serving.look_ahead` the rest waits in Kafka.",
    registry=REGISTRY,
)
ANSWER_SECONDS = Histogram(
    "tidemill_answer_seconds",
    "Seconds of one micro-batch of answers, by phase.",
    ["phase"],
    buckets=_FAST_S,
    registry=REGISTRY,
)

SEARCHES = Counter(
    "tidemill_searches_total",
    "Searches by what came of them. A rise of `nothing` means that shoppers ask for what the shop "
    "doesn't have, or calls otherwise: see `tidemill search misses`.",
    ["outcome"],
    registry=REGISTRY,
)
SEARCH_SECONDS = Histogram(
    "tidemill_search_seconds",
    "Seconds of one search, by part. A rise in `meaning` points at the encoder, in `model` at the "
    "catalogue's size.",
    ["part"],
    buckets=_FAST_S,
    registry=REGISTRY,
)
SEARCH_WAITING_ITEMS = Gauge(
    "tidemill_search_waiting_items",
    "Items that are not in the index of search yet. A lasting rise means that items change faster "
    "than serving.search.slice_ms lets them in.",
    registry=REGISTRY,
)
SEARCH_CLICKS = Counter(
    "tidemill_search_clicks_total",
    "Clicks on search results that were learnt.",
    registry=REGISTRY,
)
SEARCH_LOST = Gauge(
    "tidemill_search_loss",
    "How unlikely the newest clicked item was before it was learnt, in nats. A rise means that "
    "shoppers look for other things than what comes first.",
    registry=REGISTRY,
)
SEARCH_OPEN = Gauge(
    "tidemill_search_personal_share",
    "How much of the order who asks decides, by kind of query and of visitor. A fall means that "
    "what they did before doesn't help to find what they ask for.",
    ["query", "visitor"],
    registry=REGISTRY,
)

# Answers to questions ---------------------------------------------------------------------------

ANSWER_ROUTES = Counter(
    "tidemill_questions_total",
    "Questions by the way they were answered. A rise of `unknown` means that shoppers ask what no "
    "item, review or document says.",
    ["route"],
    registry=REGISTRY,
)
QUESTION_SECONDS = Histogram(
    "tidemill_question_seconds",
    "Time to answer a question, without a list. A rise means longer texts, or a busy machine.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0),
    registry=REGISTRY,
)
PHRASED_ANSWERS = Counter(
    "tidemill_phrased_answers_total",
    "Answers that a model was to word, by what spoke. A rise of `quotation` means that more of the "
    "model's drafts say what no cited place says.",
    ["by"],
    registry=REGISTRY,
)
KNOWN_TEXTS = Gauge(
    "tidemill_known_texts",
    "Reviews and documents that questions are answered from, by kind.",
    ["kind"],
    registry=REGISTRY,
)

# Supervisor ------------------------------------------------------------------------------------

ROLE_RESTARTS = Counter(
    "tidemill_role_restarts_total",
    "Role processes restarted after a crash.",
    ["role"],
    registry=REGISTRY,
)
CONSUMER_LAG = Gauge(
    "tidemill_consumer_lag_records",
    "Records not yet consumed, by role and topic. A lasting rise means too few workers.",
    ["role", "topic"],
    registry=REGISTRY,
)
