"""Everything that must lie on disk before the first process starts."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable

from riskcast.core.settings import LOOPBACK, Settings
from riskcast.routing.nginx import render, site_of
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout, repository
from riskcast.standalone.secrets import secret, write_private

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
    from riskcast.serving.auth import ensure_admin_key, ensure_api_key

    ensure_api_key(settings)
    ensure_admin_key(settings)
    postgres.prepare(layout, tell)
    _redis(settings, layout)
    _nginx(settings, layout, tell)
    for name in ("airflow", "mlflow-artifacts"):
        (layout.home / name).mkdir(mode=0o700, exist_ok=True)


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


def _nginx(settings: Settings, layout: Layout, tell: Callable[[str], None]) -> None:
    folder = layout.home / "nginx"
    # Under root, nginx's workers give up root; they still must see which colour is active.
    worker = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    site = site_of(settings, worker=f"{worker.pw_name} {_group(worker)}" if worker else "")
    active, access_log = site.active, site.access_log
    active.mkdir(parents=True, exist_ok=True)
    (folder / "temp").mkdir(exist_ok=True)
    if access_log.exists() and access_log.stat().st_size > ACCESS_LOG_BYTES:
        access_log.replace(access_log.with_suffix(".log.1"))
    if worker is not None:
        active.chmod(0o755)
        folder.chmod(0o755)
        postgres.grant_search(active / "any", worker, tell)
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    write_private(folder / "nginx.conf", render(template, site))


def _group(account: pwd.struct_passwd) -> str:
    import grp

    return grp.getgrgid(account.pw_gid).gr_name
