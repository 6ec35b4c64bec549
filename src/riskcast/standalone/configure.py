"""Everything that must lie on disk before the first process starts."""

from __future__ import annotations

from collections.abc import Callable

from riskcast.core.settings import LOOPBACK, Settings
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout
from riskcast.standalone.nginx import configure_nginx
from riskcast.standalone.secrets import secret, write_private


def configure(settings: Settings, layout: Layout, tell: Callable[[str], None]) -> None:
    """Write what the servers read; what is as it should be stays untouched.

    `tell` is told of every permission that had to be changed.

    Raises
    ------
    StackError
        If PostgreSQL cannot be prepared or Riskcast does not run from a checkout.
    SettingsError
        If the file of API keys cannot be read.
    """
    # Imported here: the API's own packages are needed for this one call.
    from riskcast.registry.signature import ensure_key
    from riskcast.serving.auth import ensure_admin_key, ensure_api_key

    ensure_api_key(settings)
    ensure_admin_key(settings)
    ensure_key(settings.keys_path)
    postgres.prepare(layout, tell)
    _redis(settings, layout)
    _mlflow(layout)
    configure_nginx(settings, layout, tell)
    for folder in (layout.home / "airflow", layout.artifacts):
        folder.mkdir(mode=0o700, exist_ok=True)


def _redis(settings: Settings, layout: Layout) -> None:
    folder = layout.home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = (
        f"bind {LOOPBACK}",
        f"port {settings.redis_port}",
        f"dir {folder}",
        f"requirepass {secret(layout.keys, 'redis')}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
    )
    write_private(folder / "redis.conf", "\n".join(lines) + "\n")


def _mlflow(layout: Layout) -> None:
    folder = layout.home / "mlflow"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Users lie beside the models, in tables of their own; its driver takes the password itself.
    # Logins are remembered for a minute: hashing one for each request would cost more than it.
    lines = (
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = {postgres.uri(layout, 'mlflow').replace('%', '%%')}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds = 60",
    )
    write_private(folder / "basic_auth.ini", "\n".join(lines) + "\n")
