"""Blue and green behind nginx, switched by files.

A product's traffic goes to green while the file ``<product>.green`` exists, to blue otherwise; a
share of it goes to the other colour while ``<product>.canary-<percent>`` exists, and copies of it
do while ``<product>.mirror`` exists. nginx looks at every request, so a change is one atomic
change of a folder: no reload, hence no connection closed; no state in nginx, hence nothing to
restore when it restarts.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.products import PRODUCTS
from riskcast.routing.access_log import entries_since, tally
from riskcast.routing.base import (
    SLOT_HEADER,
    SLOTS,
    Traffic,
    check_product,
    check_share,
    check_slot,
)
from riskcast.routing.doors import Tls, listener

ROUTE_HEADER = "X-Riskcast-Route"
LOOK_EVERY = 0.05  # seconds


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
    shares : tuple of int
        Percentages that a canary can be given, rising.
    doors : tuple of str
        Locations of other servers' pages, from `routing.doors`.
    tls : Tls or None
        The door for https, beside the plain one.
    resolver : str
        Name server of servers that are named instead of numbered; they are looked up again every
        second, since a container that is made anew has another address.
    """

    listen: str
    blue: str
    green: str
    active: Path
    access_log: Path
    worker: str
    routes: Mapping[str, str]
    shares: tuple[int, ...] = ()
    doors: tuple[str, ...] = ()
    tls: Tls | None = None
    resolver: str = ""

    def address(self, slot: str) -> str:
        """Return ``host:port`` of a slot."""
        return self.green if slot == "green" else self.blue


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
        "BLUE": f"{site.blue} resolve" if site.resolver else site.blue,
        "GREEN": f"{site.green} resolve" if site.resolver else site.green,
        "RESOLVER": f"resolver {site.resolver} valid=1s ipv6=off;" if site.resolver else "",
        "ACTIVE": str(site.active),
        "ACCESS_LOG": str(site.access_log),
        "DOORS": "\n        ".join(site.doors),
        "TLS": listener(site.tls) if site.tls else "",
        "DEFAULT_PRODUCT": next(iter(site.routes.values())),
        "PRODUCTS": "\n        ".join(f'"{path}" {name};' for path, name in routes.items()),
        "ROUTED": "\n        ".join(
            f'"~^{re.escape(path)}(/|$)" {name};' for path, name in site.routes.items()
        ),
        "LOTS": "\n    ".join(
            f"split_clients $request_id $lot_{n} {{ {n}% 1; * 0; }}" for n in site.shares
        ),
        "SHARES": "\n        ".join(
            f'if (-f "{site.active}/$product.canary-{n}") {{ set $share {n}; set $lot $lot_{n}; }}'
            for n in site.shares
        ),
        "ROUTES": "\n        ".join(
            f"location = {path} {{ mirror /_copy; proxy_pass http://riskcast_$slot; }}"
            for path in site.routes
        ),
    }

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise StackError(f"nginx.conf.template: nothing is known of @{found[1]}@")
        return values[found[1]]

    return re.sub(r"@([A-Z_]+)@", value, template)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look through nginx found: who answered, and what nginx says it does."""

    slot: str = ""
    active: str = ""
    canary: str = ""
    mirror: str = ""


class NginxRouter:
    """Router of the nginx of one machine.

    Parameters
    ----------
    site : Site
        What nginx was configured with.
    url : str
        Published address of nginx, through which a change is verified.
    patience : float
        Seconds until a change that is not seen counts as failed.
    steady : float
        Seconds for which a slot must answer without a break before traffic is sent to it, so that
        one that crashes again and again gets none.
    """

    copies = True

    def __init__(self, site: Site, url: str, *, patience: float = 5.0, steady: float = 1.0) -> None:
        self._site, self._url = site, url
        self._patience, self._steady = patience, steady

    def active(self, product: str) -> str:
        return "green" if self._flag(product, "green").exists() else "blue"

    def switch(self, product: str, slot: str) -> None:
        check_slot(slot)
        before = self.active(product)
        if before != slot:
            self._await_steady(product, slot)
        self._share(product, 0)
        self._set(self._flag(product, "green"), slot == "green")
        try:
            self._await(product, f"to {slot}", lambda seen: seen.slot == seen.active == slot)
        except StackError:
            self._set(self._flag(product, "green"), before == "green")
            raise

    def canary(self, product: str, percent: int) -> None:
        check_product(product)
        check_share(percent, self._site.shares)
        self._share(product, percent)
        try:
            self._await(product, f"by {percent}%", lambda seen: seen.canary == str(percent))
        except StackError:
            self._share(product, 0)
            raise

    def mirror(self, product: str, on: bool) -> None:
        flag, word = self._flag(product, "mirror"), "on" if on else "off"
        self._set(flag, on)
        try:
            self._await(product, f"with mirror {word}", lambda seen: seen.mirror == word)
        except StackError:
            self._set(flag, False)
            raise

    def traffic(self, product: str, since: datetime) -> Mapping[str, Traffic]:
        check_product(product)
        ports = {self._site.address(slot).rpartition(":")[2]: slot for slot in SLOTS}
        return tally(entries_since(self._site.access_log, since), product, ports)

    def _flag(self, product: str, name: str) -> Path:
        check_product(product)
        return self._site.active / f"{product}.{name}"

    def _share(self, product: str, percent: int) -> None:
        """Leave one file of the share, none with 0; in between there is none rather than two."""
        wanted = self._flag(product, f"canary-{percent}")
        for path in self._site.active.glob(f"{product}.canary-*"):
            if path != wanted:
                self._set(path, False)
        if percent:
            self._set(wanted, True)

    def _set(self, path: Path, on: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if on:
            path.touch()
        else:
            path.unlink(missing_ok=True)
        # The folder itself, so that the change also outlives a power failure.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _await_steady(self, product: str, slot: str) -> None:
        """Wait until the slot has answered on its own address for a while without a break."""
        address = self._site.address(slot)
        until, since = seconds() + self._patience + self._steady, seconds()
        # One connection for all looks: it breaks with the server, however soon that is back.
        with closing(HTTPConnection(address, timeout=2.0)) as connection:
            while True:
                if _answering(connection) != slot:
                    since = seconds() + LOOK_EVERY
                if seconds() - since >= self._steady:
                    return
                if seconds() > until:
                    raise StackError(
                        f"{product} was not sent to {slot}: {address} did not answer steadily as "
                        f"{slot} for {self._steady:g} s; is {slot} running? See `riskcast logs`"
                    )
                time.sleep(LOOK_EVERY)

    def _await(self, product: str, what: str, done: Callable[[_Seen], bool]) -> None:
        """Wait until nginx itself shows the change."""
        address, until = self._url + _health(product), seconds() + self._patience
        while not done(seen := _look(address)):
            if seconds() > until:
                raise StackError(
                    f"{product} was sent {what}, but {address} was answered by "
                    f"{seen.slot or 'nobody'} (active {seen.active or 'unknown'}, canary "
                    f"{seen.canary or '?'}%, mirror {seen.mirror or '?'}) for "
                    f"{self._patience:g} s; is nginx running with this folder? The change is undone"
                )
            time.sleep(LOOK_EVERY)


def _answering(connection: HTTPConnection) -> str:
    """Return the slot that answers on the connection, empty if none does or it had broken."""
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        connection.close()  # the next request opens another
        return ""
    return answer.headers.get(SLOT_HEADER, "") if answer.status == 200 else ""


def _look(address: str) -> _Seen:
    # Imported here: reading which slot is active needs no client.
    import httpx

    try:
        answer = httpx.get(address, timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return _Seen()
    slot = answer.headers.get(SLOT_HEADER, "") if answer.status_code == 200 else ""
    active, _, rest = answer.headers.get(ROUTE_HEADER, "").partition(" ")
    said = dict(part.partition("=")[::2] for part in rest.split())
    return _Seen(slot, active, said.get("canary", ""), said.get("mirror", ""))


def active_folder(settings: Settings) -> Path:
    """Return where the stack's nginx looks for active colours."""
    return settings.home_path / "nginx" / "active"


def site_of(settings: Settings, *, worker: str = "") -> Site:
    """Return the site of the stack, on this machine unless the settings say where its parts are."""
    return Site(
        listen=f"{settings.host}:{settings.api_port}",
        blue=urlsplit(settings.blue_url).netloc or f"{LOOPBACK}:{settings.blue_port}",
        green=urlsplit(settings.green_url).netloc or f"{LOOPBACK}:{settings.green_port}",
        active=active_folder(settings),
        access_log=settings.home_path / "logs" / "nginx-access.log",
        worker=worker,
        routes={product.route: product.name for product in PRODUCTS.values()},
        shares=settings.canary_shares,
    )


def nginx_router(settings: Settings) -> NginxRouter:
    """Return the router of the stack."""
    door = settings.api_url or f"http://{LOOPBACK}:{settings.api_port}"
    return NginxRouter(site_of(settings), door.rstrip("/"))


def _health(product: str) -> str:
    return f"/health/{product}"
