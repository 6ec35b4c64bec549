"""WebSockets: who may listen, what is pushed, and what happens to those who do not take it."""

import asyncio
import json
import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from serving_world import EVER, SESSIONS, known_at, register, rows, serve, until
from small_model import small_model
from test_history import published
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.registry import Registry
from riskcast.routing.nginx import active_folder
from riskcast.serving import live as live_module
from riskcast.serving import sockets
from riskcast.serving.app import create_app
from riskcast.serving.auth import add_client, ensure_api_key
from riskcast.serving.sockets import Doorman
from riskcast.serving.streams import QUEUE, Streams, Subscriber, Topic
from riskcast.serving.whole import WholeAnswers
from riskcast.tables import gold
from riskcast.tables.output import PREDICTIONS_DAILY
from riskcast.tables.silver import MARKET_DAILY

PATHS = ("/ws/predictions", "/ws/market", "/ws/news")


def bars(*days, known=None):
    one = {
        "symbol": "GSPC", "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "adj_close": 1.5,
        "ret": 0.0, "volume": 10.0, "price_basis": "index", "source": "test",
    }  # fmt: skip
    return pl.DataFrame([{"date": d, "known_at": known or known_at(d)} | one for d in days])


class World:
    def __init__(self, settings, registry, app, url):
        self.settings, self.registry, self.app = settings, registry, app
        self.url = url.replace("http", "ws")
        self.lake = open_lake(settings)
        self.key = (settings.keys_path / "api.key").read_text()

    def connect(self, path="/ws/predictions", key=None, **options):
        headers = {"X-API-Key": self.key if key is None else key}
        return connect(self.url + path, additional_headers=headers, proxy=None, **options)


@pytest.fixture
def world(tmp_path, empty_database, monkeypatch):
    monkeypatch.setattr(live_module, "PUBLISHED_EVERY", 0.3)
    monkeypatch.setattr(live_module, "MODEL_EVERY", 0.3)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    settings = Settings(home=str(tmp_path), slot="blue")
    registry = Registry(settings)
    registry.promote("daily_risk", register(registry, small_model()), who="test", why="first")
    ensure_api_key(settings)
    lake = open_lake(settings)
    lake.write(gold.FEATURES_DAILY, rows(), EVER)
    lake.write(PREDICTIONS_DAILY, published(SESSIONS[:-1]), EVER)
    lake.write(MARKET_DAILY, bars(*SESSIONS[:-1]), EVER)
    app = create_app(settings)
    with serve(app, http=WholeAnswers) as url:
        topics = app.state.streams.topics
        until(lambda: topics["predictions"].latest and topics["market"].latest)
        yield World(settings, registry, app, url)


def said(socket, kind):
    """The next message of that kind; others are skipped."""
    while True:
        message = json.loads(socket.recv(timeout=15))
        if message["type"] == kind:
            return message


def closing(socket):
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=15)
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_new_forecast_a_new_model_and_a_new_bar_are_pushed_once(world):
    with world.connect() as forecasts, world.connect("/ws/market") as market:
        hello = said(forecasts, "hello")
        assert (hello["slot"], hello["model_version"]) == ("blue", "1")
        assert hello["latest"]["date"] == SESSIONS[-2].isoformat()
        assert said(market, "hello")["latest"]["date"] == SESSIONS[-2].isoformat()
        world.lake.write(PREDICTIONS_DAILY, published(SESSIONS[-1:]), EVER)
        assert said(forecasts, "forecast")["forecast"]["date"] == SESSIONS[-1].isoformat()
        world.lake.write(MARKET_DAILY, bars(SESSIONS[-1]), EVER)
        assert said(market, "bar")["bar"]["date"] == SESSIONS[-1].isoformat()
        version = register(world.registry, small_model())
        world.registry.promote("daily_risk", version, who="test", why="second")
        told = said(forecasts, "model")
        assert (told["version"], told["previous"]) == (version, "1")
        with pytest.raises(TimeoutError):
            forecasts.recv(timeout=1.5)


def test_a_bar_known_only_later_is_not_pushed_and_the_check_sees_a_leak(world):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    far = Window(datetime(2000, 1, 1, tzinfo=UTC), tomorrow + timedelta(days=1))
    with world.connect("/ws/market") as market:
        said(market, "hello")
        world.lake.write(MARKET_DAILY, bars(SESSIONS[-1], known=tomorrow), far)
        with pytest.raises(TimeoutError):
            market.recv(timeout=3)
        planted = bars(date(2019, 1, 2), known=known_at(SESSIONS[-1]))
        world.lake.write(MARKET_DAILY, planted, far)
        assert said(market, "bar")["bar"]["date"] == "2019-01-02"


def test_when_traffic_moves_the_client_is_told_and_sent_to_the_other_colour(world):
    with world.connect() as forecasts, world.connect("/ws/news") as news:
        said(forecasts, "hello")
        folder = active_folder(world.settings)
        folder.mkdir(parents=True)
        until(lambda: world.app.state.streams._slot == "blue")
        (folder / "daily_risk.green").touch()
        told = said(forecasts, "flip")
        assert (told["slot"], told["previous"]) == ("green", "blue")
        assert closing(forecasts) == (1012, "flip")
        assert closing(news) == (1012, "flip")
    with world.connect() as again:
        assert said(again, "hello")["latest"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("key", "status"), [("wrong", 401), ("limited-key", 403)])
def test_a_bad_key_in_the_header_gets_no_connection(world, path, key, status):
    add_client(world.settings, "limited", "limited-key", ("observe",))
    with pytest.raises(InvalidStatus) as refused:
        world.connect(path, key=key)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["code"].startswith(("key", "scope"))


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_sends_its_key_as_first_message(world, path):
    with world.connect(path, key="") as socket:
        socket.send(json.dumps({"type": "auth", "key": world.key}))
        assert said(socket, "hello")["topic"] == path.rpartition("/")[2]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type": "auth", "key": "wrong"}', 4401),
        ('{"type": "auth", "key": "limited-key"}', 4403),
        ('{"type": "hello"}', 4401),
        ("no json", 4401),
        (b"\x00\xff", 4401),
        ('{"type": "auth", "key": "' + "k" * 600 + '"}', 4401),
    ],
)
def test_a_bad_first_message_closes_the_connection(world, message, code):
    add_client(world.settings, "limited", "limited-key", ("observe",))
    with world.connect(key="") as socket:
        socket.send(message)
        assert closing(socket)[0] == code


def test_a_key_in_the_address_opens_nothing(world, monkeypatch):
    monkeypatch.setattr(sockets, "AUTH_SECONDS", 0.5)
    with world.connect(f"/ws/predictions?key={world.key}&api_key={world.key}", key="") as socket:
        assert closing(socket) == (4408, "key-late")


def test_a_client_that_talks_is_closed(world):
    with world.connect() as socket:
        said(socket, "hello")
        socket.send("what else?")
        assert closing(socket) == (1008, "unexpected-message")


def test_heartbeats_are_sent_while_nothing_happens(world, monkeypatch):
    monkeypatch.setattr(sockets, "HEARTBEAT_SECONDS", 0.3)
    with world.connect("/ws/news") as news:
        assert said(news, "hello")["latest"] is None
        assert said(news, "heartbeat")["at"] < said(news, "heartbeat")["at"]


def test_connections_are_limited_and_places_become_free(world):
    world.app.state.doorman = Doorman(connections=3, per_client=2)
    with world.connect() as first, world.connect() as second:
        said(first, "hello"), said(second, "hello")
        with world.connect() as third:
            assert closing(third) == (1013, "too-many-connections")
        with world.connect(key=""), pytest.raises(InvalidStatus) as refused:
            world.connect()
        assert refused.value.response.status_code == 503
    until(lambda: world.app.state.doorman._open == 0)
    with world.connect() as again:
        assert said(again, "hello")


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(world):
    topic = world.app.state.streams.topics["news"]
    loop = world.app.state.loop
    plain = {"compression": None}  # what waits then fills the buffers as it is
    with (
        world.connect("/ws/news", max_queue=1, close_timeout=0.1, **plain) as slow,
        world.connect("/ws/news", **plain) as quick,
    ):
        said(quick, "hello")
        until(lambda: len(topic.subscribers) == 2)

        def flood():
            topic.push("article", text="x" * 200_000)

        for _ in range(QUEUE + 120):
            loop.call_soon_threadsafe(flood)
            assert said(quick, "article")
        until(lambda: len(topic.subscribers) == 1, seconds=20)
        del slow


def test_a_queue_is_bounded():
    async def lag():
        topic = Topic("news")
        subscriber = Subscriber("slow")
        topic.subscribers.add(subscriber)
        for _ in range(QUEUE + 5):
            topic.push("article")
        return subscriber.queue.qsize(), subscriber.closing.result()

    assert asyncio.run(lag()) == (QUEUE, (1013, "too-slow"))


def test_a_store_that_fails_does_not_end_the_watch(settings):
    class Broken:
        looks = 0

        def version(self, table):
            self.looks += 1
            raise ZeroDivisionError("as no store should")

    class Quiet:
        published = model = None
        symbol, slot = "GSPC", "blue"

    lake = Broken()

    async def watch():
        streams = Streams(Quiet(), lake, lambda: "blue", every=0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams.watch(), 0.3)

    asyncio.run(watch())
    assert lake.looks > 3
