"""Fill in the scene, once a second: from the roles' metrics, the lag, and what was heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from infra.config import MetricsConfig
from infra.demo.gauges import Rate, Samples, scrape
from infra.demo.listen import Listener
from infra.demo.scene import Role, Scene
from infra.roles import ROLES, SUPERVISOR
from stream.clock import Clock

PROFILE, LEARNER, SERVING = ROLES


def topic_counts(pages: dict[str, Samples]) -> dict[str, float]:
    """Records done so far by topic, from the counters of whoever reads the topic."""
    empty = Samples()
    profile, learner = pages.get(PROFILE, empty), pages.get(LEARNER, empty)
    raw: dict[str, float] = {
        topic: profile.total("tidemill_ingest_records_total", topic=topic)
        for topic in ("clicks", "purchases", "reviews")
    }
    return raw | {
        "events": profile.total("tidemill_profile_events_total"),
        "examples": learner.total("tidemill_learner_examples_total"),
        "items": learner.total("tidemill_encoded_items_total"),
        "requests": pages.get(SERVING, empty).total("tidemill_answers_total", trigger="request"),
    }


class Watch:
    """Keeps a scene up to date.

    Parameters
    ----------
    scene
        What the screen shows; changed in place.
    clock
        For rates and the elapsed time.
    metrics
        How to read the roles' pages.
    """

    def __init__(self, scene: Scene, clock: Clock, metrics: MetricsConfig | None = None) -> None:
        self._scene = scene
        self._clock = clock
        self._metrics = metrics
        self._began_s = clock.monotonic_s()
        self._rates: defaultdict[str, Rate] = defaultdict(Rate)
        self.pages: dict[str, Samples] = {}

    def tick(self) -> None:
        """Only the time goes on."""
        self._scene.elapsed_s = self._clock.monotonic_s() - self._began_s

    def update(self, roles: Sequence[Role], listener: Listener | None) -> None:
        """Look at everything once."""
        scene, now_s = self._scene, self._clock.monotonic_s()
        self.tick()
        for role in roles:
            page = scrape(role.metrics_url, self._metrics) if role.metrics_url else None
            if page is not None:
                self.pages[role.name] = page
                ready = page.total("tidemill_role_ready") > 0 or role.name == SUPERVISOR
                role.health = "ready" if ready else "starting"
        scene.roles = list(roles)
        lag = self.pages.get(SUPERVISOR, Samples()).by("tidemill_consumer_lag_records", "topic")
        scene.lag = {topic: int(records) for topic, records in lag.items()}
        counts = topic_counts(self.pages)
        scene.rates = {
            topic: self._rates[topic].update(now_s, count) for topic, count in counts.items()
        }
        scene.events_per_s = sum(scene.rates[topic] for topic in ("clicks", "purchases", "reviews"))
        self._learner()
        if listener is not None:
            self._heard(listener)

    def prequential(self) -> dict[str, float]:
        """The learner's newest NDCG@10 by model, empty before it has one."""
        page = self.pages.get(LEARNER)
        return page.by("tidemill_prequential_ndcg10", "model") if page else {}

    def _learner(self) -> None:
        scene, page = self._scene, self.pages.get(LEARNER)
        if page is None:
            return
        scene.learnt = int(page.total("tidemill_learner_examples_total", outcome="learnt"))
        scene.updates = int(page.total("tidemill_learner_updates_total"))
        ndcg10 = self.prequential()
        if scene.learnt and "online" in ndcg10:
            scene.online.add(ndcg10["online"])
            scene.popularity.add(ndcg10.get("popularity", 0.0))

    def _heard(self, listener: Listener) -> None:
        scene = self._scene
        scene.answers = listener.answers
        scene.shift_count = listener.shift_count
        scene.shifts = listener.shifts.copy()
        scene.recommendations = listener.recommendations.copy()
        if listener.newest is not None:
            scene.version = listener.newest.version
