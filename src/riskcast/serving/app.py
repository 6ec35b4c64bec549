"""The model server: `create_app` puts registry, features and routes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI

from riskcast import __version__
from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings, read_settings
from riskcast.lake.base import Lake
from riskcast.online.base import FeatureReader
from riskcast.products import PRODUCTS
from riskcast.registry import Registry
from riskcast.serving.auth import Keys
from riskcast.serving.features import LakeFeatures
from riskcast.serving.history import History
from riskcast.serving.http import Manners, add_error_handlers
from riskcast.serving.live import Live
from riskcast.serving.metrics import Metrics
from riskcast.serving.routes import router
from riskcast.serving.shadow import Sink
from riskcast.serving.shadow import router as shadow_router
from riskcast.serving.spool import Spool

ROUTE = "/predict"
SLOTS = ("blue", "green")
REPLAYS = 2  # lake reads at once; more would only queue for the processor


def create_app(
    settings: Settings | None = None,
    registry: Registry | None = None,
    features: FeatureReader | None = None,
    lake: Lake | None = None,
) -> FastAPI:
    """Build the app; what is not given is made from the settings.

    Features come from Feast where a Redis is set, from the lake otherwise; replays always from
    the lake. The background threads start with the app's lifespan.

    Raises
    ------
    SettingsError
        If a setting is impossible or the slot has no colour.
    """
    settings = settings or read_settings()
    if settings.slot not in SLOTS:
        raise SettingsError(f"RISKCAST_SLOT={settings.slot!r}: expected one of {SLOTS}")
    product = next(product for product in PRODUCTS.values() if product.route == ROUTE)
    lake = lake or _lake(settings)
    history = LakeFeatures(lake, settings.asset_symbol, product.features)
    live = Live(
        settings,
        product,
        registry or Registry(settings),
        features or _reader(settings, history),
        history,
        History(lake, settings.asset_symbol),
    )
    spool = Spool(settings.spool_path / settings.slot)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.replays = CapacityLimiter(REPLAYS)
        spool.start()
        live.start()
        shadow = asyncio.create_task(app.state.shadow.work())
        try:
            yield
        finally:
            shadow.cancel()
            live.stop()
            spool.stop()

    app = FastAPI(
        title="Riskcast",
        version=__version__,
        description=product.doc,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # one path each; a redirect would drop the body of some clients
    )
    app.state.live, app.state.keys = live, Keys(settings.keys_path)
    app.state.spool, app.state.shadow = spool, Sink(live)
    app.state.metrics = Metrics(live)
    app.add_middleware(Manners, live=live, metrics=app.state.metrics)
    add_error_handlers(app)
    app.include_router(router)
    app.include_router(shadow_router)
    return app


def _lake(settings: Settings) -> Lake:
    from riskcast.lake import open_lake

    return open_lake(settings)


def _reader(settings: Settings, history: LakeFeatures) -> FeatureReader:
    if not settings.redis:
        return history
    # Imported here: Feast takes seconds, and the lake needs none of it.
    from riskcast.online.store import FeastFeatures

    return FeastFeatures(settings)
