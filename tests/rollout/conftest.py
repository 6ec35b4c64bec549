import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))  # small_model lives there
sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))  # serving_world lives there

from tests.rollout.rollout_house import PRODUCT, House

from riskcast.core.settings import Settings
from riskcast.registry import Registry


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """An MLflow database with its schema and nothing in it: making one takes seconds."""
    home = tmp_path_factory.mktemp("template")
    assert Registry(Settings(home=str(home))).alias(PRODUCT, "champion") is None
    return home / "mlflow.db"


@pytest.fixture
def bare(tmp_path, empty_database):
    """A house in which no server runs."""
    made = House(tmp_path, empty_database)
    yield made
    made.close()


@pytest.fixture
def house(bare):
    """A house that serves version 1."""
    bare.first()
    bare.start()
    return bare
