"""Blue and green behind nginx, switched by a file.

A product's traffic goes to green while the file ``<product>.green`` exists, to blue otherwise.
nginx looks at every request, so a switch is one atomic change of a folder: no reload, hence no
connection closed; no state in nginx, hence nothing to restore when it restarts.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.products import PRODUCTS
from riskcast.routing.base import SLOT_HEADER, SLOTS
from riskcast.routing.doors import Tls, listener, mlflow_door


@dataclass(frozen=True, slots=True)
class Site:
    """What the configuration of nginx depends on.

    Attributes
    ----------
    listen, blue, green : str
        ``host:port`` of the published door and of the two model servers.
    active : Path
        Folder of the files that name the active colours.
    access_log : Path
    worker : str
        Account and group of nginx's workers; empty when nginx itself does not run as root.
    routes : mapping of path to product
        The first is the product of every path that names none.
    mlflow : str
        ``host:port`` of MLflow, shown below /mlflow/; empty for none.
    tls : Tls or None
        The door for https, beside the plain one.
    """

    listen: str
    blue: str
    green: str
    active: Path
    access_log: Path
    worker: str
    routes: Mapping[str, str]
    mlflow: str = ""
    tls: Tls | None = None


def render(template: str, site: Site) -> str:
    """Return nginx.conf: the template with each ``@NAME@`` replaced.

    Raises
    ------
    StackError
        If the template names a value that there is none of.
    """
    routes = {**site.routes, **{_health(name): name for name in site.routes.values()}}
    values = {
        "USER": f"user {site.worker};" if site.worker else "",
        "LISTEN": site.listen,
        "BLUE": site.blue,
        "GREEN": site.green,
        "ACTIVE": str(site.active),
        "ACCESS_LOG": str(site.access_log),
        "DOORS": mlflow_door(site.mlflow) if site.mlflow else "",
        "TLS": listener(site.tls) if site.tls else "",
        "DEFAULT_PRODUCT": next(iter(site.routes.values())),
        "PRODUCTS": "\n        ".join(f'"{path}" {name};' for path, name in routes.items()),
        "ROUTES": "\n    ".join(
            f"location = {path} {{ proxy_pass http://riskcast_$slot; }}" for path in site.routes
        ),
    }

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise StackError(f"nginx.conf.template: nothing is known of @{found[1]}@")
        return values[found[1]]

    return re.sub(r"@([A-Z_]+)@", value, template)


class NginxRouter:
    """Router of the nginx of one machine.

    Parameters
    ----------
    folder : Path
        Where the files lie that nginx looks for.
    url : str
        Published address of nginx, through which a switch is verified.
    patience : float
        Seconds until a switch that is not seen counts as failed.
    """

    def __init__(self, folder: Path, url: str, *, patience: float = 5.0) -> None:
        self._folder, self._url, self._patience = folder, url, patience

    def active(self, product: str) -> str:
        return "green" if self._file(product).exists() else "blue"

    def switch(self, product: str, slot: str) -> None:
        if slot not in SLOTS:
            raise StackError(f"no slot {slot!r}; there are {' and '.join(SLOTS)}")
        before = self.active(product)
        self._send(product, slot)
        try:
            self._await(product, slot)
        except StackError:
            self._send(product, before)
            raise

    def _file(self, product: str) -> Path:
        if product not in PRODUCTS:
            raise StackError(f"no product {product!r}; there are {', '.join(PRODUCTS)}")
        return self._folder / f"{product}.green"

    def _send(self, product: str, slot: str) -> None:
        path = self._file(product)
        self._folder.mkdir(parents=True, exist_ok=True)
        if slot == "green":
            path.touch()
        else:
            path.unlink(missing_ok=True)
        # The folder itself, so that the switch also outlives a power failure.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _await(self, product: str, slot: str) -> None:
        until = seconds() + self._patience
        while (served := self._served(product)) != slot:
            if seconds() > until:
                raise StackError(
                    f"{product} was sent to {slot}, but {self._url}{_health(product)} was answered "
                    f"by {served or 'nobody'} for {self._patience:.0f} s; is {slot} running? "
                    "Its traffic goes where it went before"
                )
            time.sleep(0.05)

    def _served(self, product: str) -> str:
        """Return the slot that answers for the product, empty if none does."""
        # Imported here: reading which slot is active needs no client.
        import httpx

        try:
            answer = httpx.get(self._url + _health(product), timeout=2.0, trust_env=False)
        except httpx.HTTPError:
            return ""
        return answer.headers.get(SLOT_HEADER, "") if answer.status_code == 200 else ""


def active_folder(settings: Settings) -> Path:
    """Return where the standalone stack's nginx looks for active colours."""
    return settings.home_path / "nginx" / "active"


def open_router(settings: Settings) -> NginxRouter:
    """Return the router of the standalone stack."""
    return NginxRouter(active_folder(settings), f"http://127.0.0.1:{settings.api_port}")


def _health(product: str) -> str:
    return f"/health/{product}"
