"""Every route of the app against every kind of key. A route without an entry here fails."""

from datetime import timedelta

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from serving_world import MemoryRows, rows, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from riskcast.core.clock import wall
from riskcast.core.errors import SettingsError
from riskcast.registry import Registry
from riskcast.serving import sockets
from riskcast.serving.app import create_app
from riskcast.serving.auth import (
    KEY_FILE,
    SCOPES,
    add_client,
    ensure_admin_key,
    ensure_api_key,
    issue_key,
    revoke_key,
    stored_keys,
)
