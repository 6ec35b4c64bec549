"""Everything that must lie on disk before the first process starts."""

from __future__ import annotations

import hashlib
import os
import pwd
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from riskcast.core.errors import SettingsError
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.routing.doors import (
    Tls,
    airflow_door,
    dashboard_door,
    inbox_door,
    mlflow_door,
    reports_door,
)
from riskcast.routing.nginx import render, site_of
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout, repository
from riskcast.standalone.secrets import CONSOLE, secret, write_private

USER = "admin"
ACCESS_LOG_BYTES = 100_000_000  # kept once over, as .1; the supervisor turns over all other logs


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
    _nginx(settings, layout, tell)
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


def _nginx(settings: Settings, layout: Layout, tell: Callable[[str], None]) -> None:
    folder = layout.home / "nginx"
    # Under root, nginx's workers give up root; they still must see which colour is active.
    worker = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    users = folder / "users"
    site = replace(
        site_of(settings, worker=f"{worker.pw_name} {_group(worker)}" if worker else ""),
        # With TLS the plain port is for this machine's own clients.
        listen=f"{LOOPBACK if settings.tls_certificate else settings.host}:{settings.api_port}",
        doors=(
            airflow_door(f"{LOOPBACK}:{settings.airflow_port}"),
            mlflow_door(f"{LOOPBACK}:{settings.mlflow_port}"),
            dashboard_door(f"{LOOPBACK}:{settings.dashboard_port}", users),
            inbox_door(f"{LOOPBACK}:{settings.inbox_port}"),
            reports_door(settings.reports_path, users),
        ),
        tls=_tls(settings),
    )
    active, access_log = site.active, site.access_log
    active.mkdir(parents=True, exist_ok=True)
    settings.reports_path.mkdir(exist_ok=True)
    _users(users, secret(layout.keys, CONSOLE), worker)
    (folder / "temp").mkdir(exist_ok=True)
    if access_log.exists() and access_log.stat().st_size > ACCESS_LOG_BYTES:
        access_log.replace(access_log.with_suffix(".log.1"))
    if worker is not None:
        active.chmod(0o755)
        folder.chmod(0o755)
        settings.reports_path.chmod(0o755)
        postgres.grant_search(active / "any", worker, tell)
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    write_private(folder / "nginx.conf", render(template, site))


def _users(path: Path, password: str, worker: pwd.struct_passwd | None) -> None:
    """Write who may open the pages that nginx itself guards, readable by its workers alone."""
    # RFC 2307's salted SHA-1 is all that every build of nginx knows; the password is 24 random
    # bytes, which no hash needs to be slow for.
    salt = hashlib.sha256(password.encode()).digest()[:8]
    digest = hashlib.sha1(password.encode() + salt).digest()  # noqa: S324
    write_private(path, f"{USER}:{{SSHA}}{b64encode(digest + salt).decode()}\n")
    if worker is not None:
        os.chown(path, worker.pw_uid, worker.pw_gid)


def _tls(settings: Settings) -> Tls | None:
    """Return the door for https, None if there is no certificate.

    Raises
    ------
    SettingsError
        If a file is missing, or the key is open to other accounts.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError(
            "RISKCAST_TLS_CERTIFICATE and RISKCAST_TLS_KEY go together; set both or none"
        )
    if not settings.tls_certificate:
        return None
    certificate, key = Path(settings.tls_certificate).absolute(), Path(settings.tls_key).absolute()
    for name, path in (("TLS_CERTIFICATE", certificate), ("TLS_KEY", key)):
        if not path.is_file():
            raise SettingsError(f"RISKCAST_{name}={path} is no file")
    if key.stat().st_mode & 0o077:
        raise SettingsError(f"RISKCAST_TLS_KEY={key} is open to others; chmod 600 {key}")
    return Tls(f"{settings.host}:{settings.tls_port}", certificate, key)


def _group(account: pwd.struct_passwd) -> str:
    import grp

    return grp.getgrgid(account.pw_gid).gr_name
