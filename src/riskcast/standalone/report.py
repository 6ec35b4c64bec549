"""What the stack says of itself: status and logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from riskcast.core.errors import LakeError, RegistryError, StackError
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.products import PRODUCTS
from riskcast.products.spec import Product
from riskcast.routing import open_router
from riskcast.standalone.health import Ended, fault
from riskcast.standalone.layout import AIRFLOW_PATH, MLFLOW_PATH, Layout, connected
from riskcast.standalone.processes import Process, declare
from riskcast.standalone.supervisor import State, Supervisor


def status(settings: Settings) -> dict[str, Any]:
    """Return what runs and what it serves, ready for JSON.

    Returns
    -------
    dict
        ``state`` (running, partial, stopped), ``home``, ``api_url``, ``airflow_url``,
        ``mlflow_url``; ``champion`` (version or None), ``active_slot`` and ``last_session`` (ISO
        date or None) of the first product and under ``products`` of each; ``processes``, a list
        with ``name``, ``state``, ``healthy``, ``fault``, ``pid``, ``uptime_seconds``, ``port``
        and ``log``.
    """
    layout = Layout.of(settings)
    supervisor = Supervisor(layout)
    states = supervisor.states() if layout.run.exists() and supervisor.alive() else {}
    processes = _processes(settings, layout, states) if layout.run.exists() else []
    # A preparation says nothing about what runs now.
    healthy = [p["healthy"] for p in processes if not p["once"]]
    state = "running" if healthy and all(healthy) else "partial" if any(healthy) else "stopped"
    client = connected(settings) if states else settings
    products = {name: _product(client, product) for name, product in PRODUCTS.items()}
    return {
        "state": state,
        "home": str(layout.home),
        "api_url": f"http://{LOOPBACK}:{settings.api_port}",
        "airflow_url": f"http://{LOOPBACK}:{settings.api_port}{AIRFLOW_PATH}/",
        "mlflow_url": f"http://{LOOPBACK}:{settings.api_port}{MLFLOW_PATH}/",
        **next(iter(products.values())),
        "products": products,
        "processes": processes,
    }


def tail_logs(settings: Settings, name: str, lines: int = 50) -> str:
    """Return the last lines of a process's log.

    Raises
    ------
    StackError
        If there is no log of that name.
    """
    folder = Layout.of(settings).logs
    known = sorted(path.stem for path in folder.glob("*.log"))
    if name not in known:
        there = ", ".join(known) or "none yet; `riskcast up` starts the stack"
        raise StackError(f"{folder} has no log of {name!r}; there are {there}")
    with (folder / f"{name}.log").open(errors="replace") as file:
        return "".join(deque(file, lines)).rstrip("\n")


def _processes(
    settings: Settings, layout: Layout, states: dict[str, State]
) -> list[dict[str, Any]]:
    wanted: Sequence[Process] = declare(settings, layout)
    return [_process(settings, layout, process, states.get(process.name)) for process in wanted]


def _process(
    settings: Settings, layout: Layout, process: Process, found: State | None
) -> dict[str, Any]:
    if found is None:
        why = "the supervisor does not run"
    elif isinstance(process.health, Ended):
        ended_well = found.state == "EXITED" and not found.exit_status
        why = "" if ended_well else f"{found.state} with {found.exit_status}"
    else:
        why = fault(process.health) if found.state == "RUNNING" else f"it is {found.state}"
    return {
        "name": process.name,
        "state": found.state if found else "DOWN",
        "healthy": not why,
        "fault": why,
        "once": process.once,
        "pid": found.pid if found and found.pid else None,
        "uptime_seconds": round(found.uptime_seconds) if found else 0,
        "port": int(getattr(settings, process.port)) if process.port else None,
        "log": str(layout.logs / f"{process.name}.log"),
    }


def _product(client: Settings, product: Product) -> dict[str, Any]:
    return {
        "champion": _champion(client, product),
        "active_slot": open_router(client).active(product.name),
        "last_session": _last_session(client, product),
    }


def _champion(client: Settings, product: Product) -> str | None:
    # Imported here: MLflow takes seconds and a stopped stack has no champion to ask for.
    from riskcast.registry import CHAMPION, Registry

    try:
        return Registry(client).alias(product.name, CHAMPION)
    except RegistryError:
        return None  # the fault of the registry stands in its own entry


def _last_session(client: Settings, product: Product) -> str | None:
    from riskcast.lake import open_lake

    try:
        newest = open_lake(client).read(product.features)["date"].max()
    except LakeError:
        return None
    return newest.isoformat() if newest is not None else None  # type: ignore[union-attr]
