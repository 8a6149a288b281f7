from __future__ import annotations

import socket

from infra.config import BrokerConfig, RunConfig
from infra.demo.command import demo_settings, is_taken
from infra.settings import Settings
from serving.config import ServingConfig


def test_the_demo_lives_in_a_folder_of_its_own_and_pushes() -> None:
    settings = demo_settings(Settings.load(environ={}), None)

    assert settings.section(RunConfig).data_dir == ".tidemill/demo"
    assert settings.section(ServingConfig).push


def test_each_log_has_a_folder_of_its_own() -> None:
    settings = demo_settings(Settings.load(environ={}), "yoochoose")

    assert settings.section(RunConfig).data_dir == ".tidemill/demo-yoochoose"


def test_what_the_user_has_chosen_stays() -> None:
    chosen = ["run.data_dir=here", "serving.push=false"]
    settings = demo_settings(Settings.load(environ={}, assignments=chosen), None)

    assert settings.section(RunConfig).data_dir == "here"
    assert not settings.section(ServingConfig).push


def test_a_broker_port_that_is_taken_is_no_obstacle_unless_it_was_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        chosen = Settings.load(environ={}, assignments=[f"broker.port={port}"])

        assert is_taken(port)
        assert demo_settings(chosen, None).section(BrokerConfig).port == port
    assert not is_taken(port)
