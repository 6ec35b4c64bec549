import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from routing_house import House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path / "nginx")
    try:
        for name in ("blue", "green"):
            found.slot(name)
        found.nginx()
        yield found
    finally:
        found.close()
