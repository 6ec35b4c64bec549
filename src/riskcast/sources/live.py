"""The outside world as a source: a vendor of bars, FRED, the PMI, the official schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time, timedelta
from functools import cached_property

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.sources.alphavantage import AlphaVantageMarket
from riskcast.sources.base import known_in
from riskcast.sources.cache import Cache
from riskcast.sources.fred import Fred
from riskcast.sources.http import Patience
from riskcast.sources.keys import Keyring
from riskcast.sources.market import MarketVendor, fetch_bars
from riskcast.sources.pmi import Pmi
from riskcast.sources.schedule import fomc_decisions, scheduled, surveys
from riskcast.sources.stooq import StooqMarket
from riskcast.sources.tiingo import TiingoMarket
from riskcast.sources.yahoo import YahooMarket
from riskcast.tables.bronze import RAW_MACRO, RELEASE_CALENDAR
from riskcast.transforms.sessions import last_known_session

VENDORS: Mapping[str, Callable[[Settings, Keyring, Patience], MarketVendor]] = {
    "yahoo": lambda _settings, _keys, patience: YahooMarket(patience),
    "stooq": lambda settings, keys, patience: StooqMarket(settings.market_url, keys, patience),
    "tiingo": lambda settings, keys, patience: TiingoMarket(settings.market_url, keys, patience),
    "alphavantage": lambda settings, keys, patience: AlphaVantageMarket(
        settings.market_url, keys, patience
    ),
}
# Event, release of FRED: the Bureau of Labor Statistics publishes all of them at 08:30.
BUREAU = {"cpi": 10, "ppi": 46, "nfp": 50}
BUREAU_AT = time(8, 30)


class LiveSource:
    """Vendors behind one `Source`.

    Parameters
    ----------
    settings : Settings
    patience : Patience, optional
        How long one request may try.
    keys : Keyring, optional
        Where keys are looked for; ``<home>/keys`` and the environment when None.

    Notes
    -----
    Nothing is asked and no key is needed before the first fetch.
    """

    name = "live"
    # Yields late by days and surveys late by weeks are still taken up, as known when first read.
    look_back = timedelta(days=45)

    def __init__(
        self,
        settings: Settings,
        *,
        patience: Patience | None = None,
        keys: Keyring | None = None,
    ) -> None:
        self.settings = settings
        self.patience = patience or Patience()
        self.keys = keys or Keyring(settings.keys_path)

    def fetch_market(self, window: Window) -> pl.DataFrame:
        """Return the bars that became known in the window; every session due, or SourceMissing."""
        vendor = self._market
        return fetch_bars(vendor, window, self._cache(vendor.name, window))

    def fetch_macro(self, window: Window) -> pl.DataFrame:
        """Return the vintages released in the window."""
        fred = self._fred  # a missing key is told before anybody is asked
        rows = [self._pmi.fetch(window), fred.fetch(window, self._cache("fred", window))]
        return pl.concat(rows).sort(RAW_MACRO.key)

    def fetch_calendar(self, window: Window) -> pl.DataFrame:
        """Return the releases that became known in the window."""
        rows = [
            scheduled(event, self._fred.release_dates(release), BUREAU_AT, "fred.releases")
            for event, release in BUREAU.items()
        ]
        every = pl.concat([*rows, surveys(window), fomc_decisions()])
        return known_in(every, window).sort(RELEASE_CALENDAR.key)

    def newest(self) -> str:
        """Return the last session whose bar is known by now, ISO date."""
        return str(last_known_session(wall()))

    def _cache(self, fetch: str, window: Window) -> Cache:
        return Cache(self.settings.cache_path / "sources", fetch, window)

    @cached_property
    def _market(self) -> MarketVendor:
        return VENDORS[self.settings.market](self.settings, self.keys, self.patience)

    @cached_property
    def _fred(self) -> Fred:
        return Fred(self.settings.fred_url, self.keys, self.patience)

    @cached_property
    def _pmi(self) -> Pmi:
        return Pmi(self.settings.pmi_url, self.patience)
