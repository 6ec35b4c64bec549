from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import BRISK, KEY, World, serve

from riskcast.core.settings import Settings
from riskcast.sources.keys import Keyring
from riskcast.sources.live import LiveSource

NAMES = ("FRED", "TIINGO", "ALPHAVANTAGE", "STOOQ")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def address(world) -> Iterator[str]:
    with serve(world) as url:
        yield url


@pytest.fixture
def live(address, tmp_path):
    """Make a live source on the servers, by the vendor of its bars."""

    def make(market: str = "stooq", keys: dict[str, str] | None = None) -> LiveSource:
        settings = Settings(
            home=str(tmp_path / "home"),
            source="live",
            market=market,
            market_url="" if market == "yahoo" else address,
            fred_url=address,
            pmi_url=address,
        )
        environ = {f"{name}_API_KEY": KEY for name in NAMES} if keys is None else keys
        return LiveSource(settings, patience=BRISK, keys=Keyring(settings.keys_path, environ))

    return make
