"""What a server answers from: one model and one row of features, each swapped whole.

Threads keep them current; requests read a reference and never wait for a store. What cannot
be loaded is refused with its reason and the old one stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Event, Thread

from riskcast.core.clock import Clock, seconds
from riskcast.core.errors import (
    ArtifactRefused,
    FeatureMissing,
    FeatureStale,
    ModelMissing,
    NotReady,
    RiskcastError,
)
from riskcast.core.redaction import redact
from riskcast.core.settings import Settings
from riskcast.core.turns import taking_turns
from riskcast.online.base import FeatureReader, FeatureRow
from riskcast.products import Product
from riskcast.registry import CHAMPION, LoadedModel, Registry
from riskcast.serving.features import LakeFeatures
from riskcast.serving.forecast import Memo, check_model, known_values
from riskcast.serving.history import History

MODEL_EVERY = 2.0  # seconds between looks at the slot's alias
FEATURES_EVERY = 3.0
PUBLISHED_EVERY = 10.0
PATIENCE = 10.0  # with a first look, before requests are taken all the same
RETRY_REFUSED = 60.0  # a refused version may have been half copied; look again, but seldom

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that did not load."""

    version: str
    reason: str
    at: float  # monotonic seconds


class Live:
    """State of one server process.

    Attributes
    ----------
    model : LoadedModel or None
    row : FeatureRow or None
        Newest features.
    refused : Refused or None
        The version assigned to the slot that could not be loaded.
    faults : dict
        Thread name to why its last look failed; the last good state stays.
    """

    def __init__(
        self,
        settings: Settings,
        product: Product,
        registry: Registry,
        reader: FeatureReader,
        history: LakeFeatures,
        published: History | None = None,
    ) -> None:
        self.product, self.history, self.published = product, history, published
        self.symbol = settings.asset_symbol
        self.slot, self.key = settings.slot, settings.model_key_path
        self.model: LoadedModel | None = None
        self.row: FeatureRow | None = None
        self.memo = Memo()
        self.refused: Refused | None = None
        self.faults: dict[str, str] = {}
        self._live = settings.live
        self._registry, self._reader = registry, reader
        self._stopped = Event()
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Start looking again and again; return after the first looks, or when one takes long.

        Who asks earlier would be refused what a moment later can be answered.
        """
        looked = []
        for name, look, pause in (
            ("features", self.look_for_features, FEATURES_EVERY),
            ("model", self.look_for_model, MODEL_EVERY),
            *((("published", self.published.look, PUBLISHED_EVERY),) if self.published else ()),
        ):
            looked.append(Event())
            given = (name, look, pause, looked[-1])
            thread = Thread(target=self._repeat, args=given, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        until = seconds() + PATIENCE
        for first in looked:
            first.wait(max(0.0, until - seconds()))

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def look_for_features(self) -> None:
        """Read the newest row, and which sessions can be replayed."""
        row = self._reader.latest(self.symbol)
        if self._reader is not self.history:
            self.history.latest(self.symbol)
        self.row = row

    def look_for_model(self) -> None:
        """Load the slot's version if it is another than the one that serves.

        The alias of the slot's own name says which; while nothing carries it, the champion.
        """
        name = self.product.name
        version = self._registry.alias(name, self.slot) or self._registry.alias(name, CHAMPION)
        if version is None:
            raise ModelMissing(f"no version of {name} is {self.slot} or {CHAMPION} yet")
        if self.model is not None and self.model.version == version:
            self.refused = None
            return
        again = self.refused
        if again and again.version == version and seconds() - again.at < RETRY_REFUSED:
            return
        try:
            with taking_turns() if self.model else nullcontext():
                loaded = self._registry.load(self.product.name, version)
                check_model(loaded.model, self.product, self.row)
            self._check_asset(loaded)
        except (ArtifactRefused, ModelMissing) as error:
            self.refused = Refused(version, str(error), seconds())
            log.error("version %s refused, %s stays: %s", version, self._serving, error)
            return
        self.model, self.refused = loaded, None
        log.info("serving %s version %s", self.product.name, version)

    def clock(self) -> Clock:
        """The clock of sample data stands at the newest row; live sources will have the wall's."""
        stored = self.row.known_at if self.row else None
        known = [at for at in (self.history.newest_known_at, stored) if at is not None]
        if not self._live and known:
            return Clock.sample(max(known))
        return Clock()

    def current_model(self) -> LoadedModel:
        """Return the model that serves; raise NotReady if there is none."""
        if self.model is None:
            raise NotReady("no model is loaded: " + "; ".join(self.troubles() or ("starting",)))
        return self.model

    def latest_row(self) -> FeatureRow:
        """Return the newest row.

        Raises
        ------
        FeatureMissing, FeatureStale
            If there is none, or it is older than its table allows.
        """
        if self.row is None:
            why = self.faults.get("features", "the server is starting")
            raise FeatureMissing(f"no features of {self.symbol} are loaded: {why}")
        fresh, now = self.product.features.fresh, self.clock().now()
        if fresh is not None and now - self.row.known_at > fresh:
            age = (now - self.row.known_at).total_seconds() / 3600
            raise FeatureStale(
                f"the newest features of {self.symbol}, session {self.row.session}, are "
                f"{age:.0f} h old; {self.product.features.name} allows "
                f"{fresh.total_seconds() / 3600:.0f} h"
            )
        return self.row

    def obstacles(self) -> list[str]:
        """Return why a request for the latest session would fail now; empty when ready."""
        found = []
        try:
            row: FeatureRow | None = self.latest_row()
        except RiskcastError as error:
            row = None
            found.append(redact(f"{error.code}: {error}"))
        try:
            model = self.current_model().model
            if row is not None:
                known_values(model, row, {}, self.product.features)
        except RiskcastError as error:
            found.append(redact(f"{error.code}: {error}"))
        return found

    def troubles(self) -> list[str]:
        """Return what failed last in the background, whether or not the server can answer."""
        found = [redact(f"{name}: {why}") for name, why in sorted(self.faults.items())]
        if refused := self.refused:
            found.append(f"version {refused.version} refused: {refused.reason}")
        return found

    def _check_asset(self, loaded: LoadedModel) -> None:
        trained_on = loaded.tags.get("asset", self.symbol)
        if trained_on != self.symbol:
            raise ArtifactRefused(
                f"it was trained on {trained_on}, this server forecasts {self.symbol}; "
                "set RISKCAST_ASSET or train on the asset"
            )

    @property
    def _serving(self) -> str:
        return f"version {self.model.version}" if self.model else "nothing"

    def _repeat(self, name: str, look: Callable[[], None], pause: float, looked: Event) -> None:
        # Each look runs as a future so that whatever it raises is kept, told and tried again:
        # a store that fails in a new way must not end the watch.
        with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
            while True:
                failure = pool.submit(look).exception()
                self._note(name, failure)
                looked.set()
                if self._stopped.wait(pause):
                    return

    def _note(self, name: str, failure: BaseException | None) -> None:
        if failure is None:
            self.faults.pop(name, None)
            return
        told = str(failure) if isinstance(failure, RiskcastError) else repr(failure)
        if self.faults.get(name) != told:
            unexpected = None if isinstance(failure, RiskcastError) else failure
            log.warning("%s: %s", name, told, exc_info=unexpected)
        self.faults[name] = told
