"""One moto server for all of tests/aws; at the end a table of which role called what."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import boto3
import pytest
from moto.moto_api import state_manager

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))  # small_model lives there
sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))  # serving_world lives there

from tests.aws.recorder import Recorder
from tests.dags import airflow_home  # noqa: F401, before airflow is imported

SETUP = "setup"  # the role of tests themselves: no role of Terraform
CLOUD: list[Recorder] = []


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/aws/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cloud():
    """The server; this process speaks to it as `setup`."""
    found = Recorder()
    CLOUD.append(found)
    # A task moves when its stand-in moves it, not by being looked at.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**6})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment(SETUP).items():
            patch.setenv(name, value)
        boto3.setup_default_session()  # one that an earlier test may have left knows other keys
        yield found
    state_manager.unset_transition("ecs::task")
    boto3.setup_default_session()
    found.close()


@pytest.fixture
def act_as(cloud, monkeypatch):
    """Make this process speak as a role, until the test ends."""

    def become(role: str) -> None:
        for name, value in cloud.environment(role).items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()

    yield become
    monkeypatch.undo()
    boto3.setup_default_session()


def pytest_terminal_summary(terminalreporter):
    if not CLOUD:
        return
    counted = Counter((call.role, call.action) for call in CLOUD[0].calls if call.role != SETUP)
    terminalreporter.write_sep("-", "calls recorded, by role")
    for (role, action), count in sorted(counted.items()):
        terminalreporter.write_line(f"{role:<36} {action:<44} {count:>5}")
