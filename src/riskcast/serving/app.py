"""The model server: `create_app` puts registry, features and routes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI

from riskcast import __version__
from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings, read_settings
from riskcast.lake.base import Lake
from riskcast.online.base import FeatureReader
from riskcast.products import PRODUCTS
from riskcast.registry import Registry
from riskcast.routing import open_router
from riskcast.serving import batch, docs, info, monitoring, news, routes, shadow, sockets
from riskcast.serving.auth import Keys
from riskcast.serving.features import LakeFeatures
from riskcast.serving.health import Health
from riskcast.serving.history import History
from riskcast.serving.http import Manners, add_error_handlers
from riskcast.serving.live import Live
from riskcast.serving.metrics import Metrics
from riskcast.serving.shadow import Sink
from riskcast.serving.spool import Spool
from riskcast.serving.streams import ASK_EVERY, WATCH_EVERY, Streams
from riskcast.tables import TABLES
from riskcast.tables.output import HEALTH

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
    app = FastAPI(
        title="Riskcast",
        version=__version__,
        description=product.doc,
        lifespan=_tended,
        docs_url=None,  # ours needs no internet
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # what links call an operation
        redirect_slashes=False,  # one path each; a redirect would drop the body of some clients
    )
    traffic = open_router(settings)
    state = app.state
    state.live, state.keys = live, Keys(settings.keys_path)
    state.spool, state.shadow = Spool(settings.spool_path / settings.slot), Sink(live)
    state.drift = monitoring.Drift(lake, TABLES.get("health"), product.name)
    state.alerts = monitoring.Alerts(settings.alerts_path)
    every = ASK_EVERY if settings.router == "alb" else WATCH_EVERY
    state.streams = Streams(live, lake, lambda: traffic.active(product.name), every=every)
    state.doorman = sockets.Doorman()
    state.metrics = Metrics(live, Health(lake, HEALTH, product.name, live.clock))
    app.add_middleware(Manners, live=live, metrics=state.metrics)
    add_error_handlers(app)
    for room in (routes, batch, monitoring, news, info, docs, sockets, shadow):
        app.include_router(room.router)
    return app


@asynccontextmanager
async def _tended(app: FastAPI) -> AsyncIterator[None]:
    """Keep what runs in the background alive as long as the app."""
    state = app.state
    state.replays, state.loop = CapacityLimiter(REPLAYS), asyncio.get_running_loop()
    state.spool.start()
    await to_thread.run_sync(state.live.start)
    tasks = [asyncio.create_task(work()) for work in (state.shadow.work, state.streams.watch)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        state.live.stop()
        state.spool.stop()


def _lake(settings: Settings) -> Lake:
    from riskcast.lake import open_lake

    return open_lake(settings)


def _reader(settings: Settings, history: LakeFeatures) -> FeatureReader:
    if not settings.redis:
        return history
    # Imported here: Feast takes seconds, and the lake needs none of it.
    from riskcast.online.store import FeastFeatures

    return FeastFeatures(settings)
