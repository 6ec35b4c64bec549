import shutil
from pathlib import Path

import pytest

from riskcast.core.settings import Settings
from riskcast.registry import Registry


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its schema and nothing in it: making one takes seconds."""
    home = tmp_path_factory.mktemp("template")
    assert Registry(Settings(home=str(home))).alias("none", "champion") is None
    return home / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    return Settings(home=str(home))


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(settings)
