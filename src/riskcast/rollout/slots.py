"""The model servers, each asked at its own address and never through the router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import httpx

from riskcast.core.clock import seconds
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.registry.signature import installation
from riskcast.rollout.checks import Answer
from riskcast.routing.base import MODEL_HEADER, SLOT_HEADER

COPIES = 1000  # outcomes of copied requests looked at
PATIENCE = 3.0  # seconds; a server that needs longer for one forecast is at fault


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server says of itself.

    Attributes
    ----------
    alive : bool
        Whether it answers at all.
    version : str
        Version it would answer a request with now; empty if it would not answer.
    troubles : tuple of str
        What failed in its background, a refused version for example.
    """

    alive: bool
    version: str = ""
    troubles: tuple[str, ...] = ()


class Slots(Protocol):
    """The servers of a product by colour. A server that does not answer is no error here."""

    def ready(self, product: str, slot: str) -> Ready:
        """Return what the server says of itself."""
        ...

    def predict(self, slot: str, body: Mapping[str, Any]) -> Answer:
        """Return its answer to one request."""
        ...

    def mirrored(self, slot: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Return what became of the requests copied to it since; none if it does not tell."""
        ...


class HttpSlots:
    """Servers at the addresses of the settings; one of another installation is none of them.

    Keys are read from their files anew for each request: they may have been made since.
    """

    def __init__(self, settings: Settings) -> None:
        self._urls = {
            "blue": settings.blue_url or f"http://{LOOPBACK}:{settings.blue_port}",
            "green": settings.green_url or f"http://{LOOPBACK}:{settings.green_port}",
        }
        self._keys, self._key = settings.keys_path, settings.model_key_path
        # A connection kept open would still reach a server that has been replaced.
        self._client = httpx.Client(
            timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def ready(self, product: str, slot: str) -> Ready:
        try:
            answer = self._client.get(f"{self._urls[slot]}/ready")
        except httpx.HTTPError:
            return Ready(alive=False)
        said = _json(answer)
        if self._foreign(said.get("installation")):
            return Ready(alive=False)
        troubles = said.get("troubles")
        name, _, version = answer.headers.get(MODEL_HEADER, "").partition("/")
        right = answer.status_code == 200 and answer.headers.get(SLOT_HEADER) == slot
        return Ready(
            alive=True,
            version=version if right and name == product else "",
            troubles=tuple(map(str, troubles)) if isinstance(troubles, list) else (),
        )

    def predict(self, slot: str, body: Mapping[str, Any]) -> Answer:
        headers = {**self._keyed("api.key"), "X-Request-Id": f"rollout-{uuid4().hex}"}
        started = seconds()
        try:
            answer = self._client.post(f"{self._urls[slot]}/predict", json=body, headers=headers)
        except httpx.HTTPError:
            return Answer(0, seconds() - started)
        return Answer(answer.status_code, seconds() - started, _json(answer))

    def mirrored(self, slot: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        url, most = f"{self._urls[slot]}/admin/mirror", {"last": str(COPIES)}
        try:
            answer = self._client.get(url, params=most, headers=self._keyed("admin.key"))
        except httpx.HTTPError:
            return ()
        copies = _json(answer).get("outcomes") if answer.status_code == 200 else None
        if not isinstance(copies, list):
            return ()
        return tuple(c for c in copies if datetime.fromisoformat(c["at"]) >= since)

    def _foreign(self, theirs: object) -> bool:
        """Whether a server says that it belongs to another installation, on the same ports."""
        ours = installation(self._key)
        return bool(ours and theirs) and theirs != ours

    def _keyed(self, name: str) -> dict[str, str]:
        path = self._keys / name
        return {"X-API-Key": path.read_text().strip()} if path.exists() else {}


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    """Return the body as an object, an empty one where it is none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
