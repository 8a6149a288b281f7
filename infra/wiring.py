"""How the parts are joined, in the order in which an event flows. Read this page first.

```
shop ─► clicks, purchases, reviews ─► ingest ─► events ─► profile ─► examples ─► learner ─► adapters
                                                             │                      │          │
                                                    online store (Feast)      item-vectors     │
                                                             └──────────► serving ◄────────────┘
shop ─► requests ───────────────────────────────────────────────┘  └─► recommendations ─► shop
```

Each role is one process. `run_role` builds its parts from the settings, runs until it is told to
stop, and returns the process's exit code. A role imports only what it needs: the imports stand in
the functions, so that the learner never loads Feast and ingest never loads a model.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from infra.config import RunConfig
from infra.data_dir import PRIVATE
from infra.roles import role_of
from infra.settings import DEFAULT, Settings
from stream.access import check_access
from stream.clock import SystemClock
from stream.connect import KafkaConfig

if TYPE_CHECKING:
    from features.store_config import StoreConfig
    from learner.config import EncoderConfig
    from learner.encoder import TextEncoder
    from serving.answers.desk import Desk
    from serving.search.parts import SearchParts

_log = logging.getLogger(__name__)

WAITING = ("OMP_WAIT_POLICY", "PASSIVE")
"""How torch's threads wait for each other, unless the environment says otherwise: asleep. Awake,
which is OpenMP's own choice, they take the cores that the one they wait for needs: where roles
share cores, a list took serving 6 to 14 times the processor's time."""


def run_role(name: str, settings: Settings) -> int:
    """Run a role until SIGTERM or SIGINT; returns the process's exit code."""
    from infra.exposition import Exposition
    from infra.logs import configure_logging

    role = role_of(name)
    os.umask(PRIVATE)
    os.environ.setdefault(*WAITING)  # OpenMP reads it once, when torch is imported.
    run = settings.section(RunConfig)
    configure_logging(role, run.log_level, as_json=run.log_json)
    with Exposition(role, settings) as metrics:
        _log.info("starting; metrics at %s", metrics.url or "no port")
        check_access(settings.section(KafkaConfig))
        code = _ROLES[role](settings)
    _log.info("stopped, exit code %d", code)
    return code


def run_ingest_profile(settings: Settings) -> int:
    """Raw records become events; events become state, features, examples and shifts."""
    from features.agent import add_profile
    from features.catalog import Catalog
    from features.interest import InterestConfig
    from features.outcomes import OutcomesConfig
    from features.store_feast import FeastStore
    from learner.config import LearnerConfig
    from stream.agent import add_ingest
    from stream.app import StreamConfig, make_app, run_app
    from stream.documents_agent import add_documents
    from stream.ingest import IngestConfig
    from stream.publish import PublishConfig, Publisher
    from stream.tenants import TenantsConfig

    kafka, clock = settings.section(KafkaConfig), SystemClock()
    app = make_app("ingest-profile", kafka, settings.section(StreamConfig), data_dir(settings))
    publisher = Publisher(kafka, settings.section(PublishConfig), role="ingest-profile")
    store = FeastStore(store_config(settings))
    tenants = settings.section(TenantsConfig).known
    # 1. clicks, purchases, reviews ─► events, dead-letters.
    add_ingest(app, kafka, settings.section(IngestConfig), publisher, clock, tenants=tenants)
    add_documents(app, kafka, publisher, clock, tenants=tenants)
    # 2. events (and item-vectors) ─► online store, interest-shifts, examples.
    add_profile(
        app,
        kafka=kafka,
        publisher=publisher,
        store=store,
        catalog=Catalog(settings.section(LearnerConfig).encoder.width),
        clock=clock,
        interest=settings.section(InterestConfig),
        outcomes=settings.section(OutcomesConfig),
        tenants=tenants,
    )
    try:
        return run_app(app, on_ready=_announce, on_stop=publisher.stop)
    finally:
        store.close()


def run_learner(settings: Settings) -> int:
    """Items become vectors; examples become model versions."""
    from features.catalog import Catalog
    from features.catalogs import Catalogs
    from features.outcomes import OutcomesConfig
    from learner.agent import add_learner
    from learner.config import LearnerConfig
    from learner.drift_river import default_detectors
    from learner.encoder import TextEncoder
    from learner.online import OnlineLearner
    from learner.reviews.reader import ReviewReader
    from stream.app import StreamConfig, make_app, run_app
    from stream.broadcast import BroadcastReader
    from stream.publish import PublishConfig, Publisher
    from stream.tenants import TenantsConfig
    from stream.topics import Topics
    from stream.variants import Assignment, VariantsConfig

    kafka, config = settings.section(KafkaConfig), settings.section(LearnerConfig)
    _limit_threads(config.threads)
    os.nice(config.nice)
    app = make_app("learner", kafka, settings.section(StreamConfig), data_dir(settings))
    publisher = Publisher(kafka, settings.section(PublishConfig), role="learner")
    tenants = settings.section(TenantsConfig).known
    catalogs = Catalogs(Catalog(config.encoder.width), tenants)
    # 3. items ─► item-vectors; examples ─► adapters, readings (which the profile hears).
    add_learner(
        app,
        kafka=kafka,
        publisher=publisher,
        catalogs=catalogs,
        reader=BroadcastReader(kafka, Topics(kafka.topic_prefix).item_vectors),
        encoder=lambda: TextEncoder(config.encoder),
        learner=lambda tenant: OnlineLearner(catalogs.of(tenant), config, default_detectors()),
        review_reader=partial(
            ReviewReader, config.reviews, config.encoder, config.device, config.seed
        )
        if config.reviews.on
        else None,
        folder=data_dir(settings) / "models",
        clock=SystemClock(),
        tenants=tenants,
        # 5. outcomes ─► calibrations (which serving hears).
        calibrates=settings.section(OutcomesConfig).on,
        teaches=Assignment(settings.section(VariantsConfig)).teaches,
    )
    return run_app(app, on_ready=_announce, on_stop=publisher.stop)


def run_serving(settings: Settings) -> int:
    """Requests, features and the newest model version become recommendations."""
    from features.catalog import Catalog
    from features.store_feast import FeastStore
    from infra.scorer_models import ScorerModels
    from learner.config import LearnerConfig
    from learner.texts.speaker import make_speaker
    from serving.agent import ServingLoop, stop_on_signals
    from serving.config import ServingConfig
    from serving.loading import Loading
    from stream.tenants import TenantsConfig
    from stream.variants import VariantsConfig

    stop = threading.Event()
    stop_on_signals(stop)
    learner = settings.section(LearnerConfig)
    _limit_threads(learner.threads)
    store, config = FeastStore(store_config(settings)), settings.section(ServingConfig)
    encoder = Loading(partial(_text_encoder, learner.encoder), "the text encoder")
    loop = ServingLoop(
        settings.section(KafkaConfig),
        config,
        store=store,
        catalog=Catalog(learner.encoder.width, texts=True),
        models=ScorerModels(learner),
        speaker=make_speaker(learner.texts, learner.seed) if config.sentences else None,
        tenants=settings.section(TenantsConfig).known,
        test=settings.section(VariantsConfig),
        search=search_parts(settings, encoder.get),
        desk=desk(settings, encoder.get),
    )
    try:
        loop.run(stop)
    finally:
        store.close()
    return 0


def search_parts(settings: Settings, encoder: Callable[[], TextEncoder | None]) -> SearchParts:
    """What searches are answered with."""
    from features.outcomes import OutcomesConfig
    from serving.config import ServingConfig
    from serving.search.parts import SearchParts

    return SearchParts(
        settings.section(ServingConfig).search,
        encoder,
        data_dir(settings) / "search",
        settings.section(KafkaConfig) if settings.section(OutcomesConfig).on else None,
    )


def desk(settings: Settings, encoder: Callable[[], TextEncoder | None]) -> Desk | None:
    """Who answers questions, with the same encoder as searches; nobody where that is off."""
    from learner.config import LearnerConfig
    from serving.answers.desk import Desk
    from serving.config import ServingConfig

    config = settings.section(ServingConfig).answers
    texts = settings.section(LearnerConfig).texts
    phrasing = None
    if config.on and config.phrase and texts.model:
        from learner.texts.generator import Generator
        from serving.answers.phrasing import Phrasing

        writer = Generator(texts, settings.section(LearnerConfig).seed)
        phrasing = Phrasing(writer, texts.language, texts.drafts)
    return Desk(config, encoder, phrasing) if config.on else None


def _text_encoder(config: EncoderConfig) -> TextEncoder:
    """The text encoder, imported when the first search or question comes."""
    from learner.encoder import TextEncoder

    return TextEncoder(config)


_ROLES: dict[str, Callable[[Settings], int]] = {
    "ingest-profile": run_ingest_profile,
    "learner": run_learner,
    "serving": run_serving,
}


def data_dir(settings: Settings) -> Path:
    """The folder of states, models and logs."""
    return Path(settings.section(RunConfig).data_dir).absolute()


def store_config(settings: Settings) -> StoreConfig:
    """The online store's settings; its folder is in the data folder unless somebody chose one."""
    from features.store_config import StoreConfig

    config = settings.section(StoreConfig)
    if settings.origin("store.directory") == DEFAULT:
        config = msgspec.structs.replace(config, directory=str(data_dir(settings) / "features"))
    return config


def _limit_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)


def _announce() -> None:
    _log.info("at work: partitions assigned, state recovered")
