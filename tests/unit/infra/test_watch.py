from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.demo.gauges import scrape
from infra.demo.scene import Role, Scene
from infra.demo.watch import Watch
from stream.clock import ManualClock

PAGES = [
    """tidemill_role_ready 1
tidemill_learner_examples_total{outcome="learnt"} 100
tidemill_learner_updates_total 9
tidemill_prequential_ndcg10{model="online"} 0.2
tidemill_prequential_ndcg10{model="popularity"} 0.1
tidemill_ingest_records_total{topic="clicks",outcome="accepted"} 100
tidemill_consumer_lag_records{role="ingest-profile",topic="clicks"} 7
tidemill_consumer_lag_records{role="learner",topic="examples"} 40
""",
    """tidemill_role_ready 0
tidemill_learner_examples_total{outcome="learnt"} 160
tidemill_learner_updates_total 12
tidemill_prequential_ndcg10{model="online"} 0.3
tidemill_prequential_ndcg10{model="popularity"} 0.1
tidemill_ingest_records_total{topic="clicks",outcome="accepted"} 160
""",
]


@pytest.fixture
def url() -> Iterator[str]:
    """A process whose metrics move on with every look, and which then is gone."""
    pages = iter(PAGES)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(next(pages).encode())

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_the_scene_follows_the_roles_metrics(url: str) -> None:
    clock, scene = ManualClock(), Scene()
    watch = Watch(scene, clock)
    role = Role("learner", metrics_url=url)

    watch.update([role], None)
    assert (role.health, scene.learnt, scene.updates) == ("ready", 100, 9)

    clock.advance(2.0)
    watch.update([role], None)

    assert role.health == "starting"
    assert scene.rates["examples"] == 30.0
    assert scene.online.points == [0.2, 0.3]
    assert scene.elapsed_s == 2.0
    assert watch.prequential() == {"online": 0.3, "popularity": 0.1}


def test_unread_records_come_from_the_supervisor(url: str) -> None:
    scene = Scene()
    Watch(scene, ManualClock()).update([Role("supervisor", metrics_url=url)], None)

    assert scene.lag == {"clicks": 7, "examples": 40}


def test_a_process_that_does_not_answer_has_no_page() -> None:
    assert scrape("http://127.0.0.1:9/metrics") is None
