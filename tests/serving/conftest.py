import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))  # small_model lives there

from serving_world import EVER, Client, client_of, new_home, register, rows, serve
from small_model import small_model

from riskcast.core.settings import Settings
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.serving.app import create_app
from riskcast.serving.auth import ensure_api_key
from riskcast.tables import gold


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its schema and nothing in it: making one takes seconds."""
    home = tmp_path_factory.mktemp("template")
    assert Registry(Settings(home=str(home))).alias("none", "champion") is None
    return home / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    return new_home(tmp_path, empty_database)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Client]:
    """A client with the default key of a running server whose champion is version 1."""
    settings = new_home(tmp_path_factory.mktemp("world"), empty_database)
    registry = Registry(settings)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    open_lake(settings).write(gold.FEATURES_DAILY, rows(), EVER)
    app = create_app(settings)
    with serve(app) as url, client_of(url, settings) as http:
        http.settings = settings
        yield http


@pytest.fixture
def spooled(client: Client) -> Callable[[], list[dict]]:
    """What the server has recorded and not yet given away, oldest first."""

    def read() -> list[dict]:
        lines = (client.settings.spool_path / "green").glob("*.jsonl")
        return [json.loads(line) for path in lines for line in path.read_text().splitlines()]

    return read


@pytest.fixture
def anonymous(client: httpx.Client) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=client.base_url) as http:
        yield http
