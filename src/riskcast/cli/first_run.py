"""The main job from nothing: history, training, gate, deployment, forecast."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from riskcast.cli.progress import Display, answer, console
from riskcast.cli.summary import curl, summary, timings, urls
from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.core.window import Window
from riskcast.pipelines import FIRST_RUN, PIPELINES
from riskcast.products import PRODUCTS
from riskcast.runner import Ports, run_pipeline

if TYPE_CHECKING:
    from riskcast.jobs.airflow_api import Airflow

# Before the first vintage of any macro series and the first bar of any model.
BEGINNING = datetime(1960, 1, 1, tzinfo=UTC)
RUN_SECONDS = 3600.0
DEPLOY_SECONDS = 60.0


def history(ports: Ports) -> Window:
    """Return the window from the beginning to the end of the source's newest session."""
    return Window(BEGINNING, Window.parse("1990-01-01", ports.source.newest()).end)


def run_direct(settings: Settings, shown: Display) -> None:
    """Run every step in this process; only MLflow's SQLite and the lake are touched."""
    from riskcast.serving.auth import ensure_api_key

    ports = Ports(settings, progress=shown.part)
    window = history(ports)
    for pipeline in FIRST_RUN:
        console.print(f"[bold]{pipeline.name}[/bold]  to {window.end:%Y-%m-%d}")
        run_pipeline(pipeline, window, ports, on_start=shown.step_started, on_done=shown.step_done)
    ensure_api_key(settings)
    product = next(iter(PRODUCTS.values()))
    answer.print(summary(settings, ports.lake, product))
    answer.print(timings({r.step: r.seconds for r in shown.reports}))
    answer.print("\nnext: riskcast serve, then\n" + curl(settings), soft_wrap=True, markup=False)


def run_on_the_stack(settings: Settings, shown: Display) -> None:
    """Start every server, then run the same steps through Airflow and wait for the champion."""
    from riskcast.jobs.airflow_api import Airflow
    from riskcast.lake import open_lake
    from riskcast.serving.auth import ensure_api_key
    from riskcast.standalone import airflow_password, airflow_url, connected, up

    ensure_api_key(settings)
    spent = {"start": seconds()}
    up(settings, shown.process)
    spent["start"] = seconds() - spent["start"]
    client = connected(settings)
    window = history(Ports(client))
    airflow = Airflow(airflow_url(settings), "admin", airflow_password(settings))
    product = next(iter(PRODUCTS.values()))
    served = _by_airflow(airflow, window, settings, client, shown, spent)
    answer.print(summary(settings, open_lake(client), product))
    answer.print(timings(spent))
    answer.print(f"\n{urls(settings)}\nserving   {served}\n\n{curl(settings)}", soft_wrap=True,
                  markup=False)  # fmt: skip


def run_on_containers(settings: Settings, shown: Display) -> None:
    """Start the compose project, then do the same; all of it is asked for through nginx."""
    from riskcast.jobs.airflow_api import Airflow
    from riskcast.standalone import compose

    spent = {"start": seconds()}
    compose.compose_up(settings, shown.process)
    spent["start"] = seconds() - spent["start"]
    client = compose.client(settings)
    window = history(Ports(client))
    url, password = compose.airflow_door(settings)
    served = _by_airflow(Airflow(url, "admin", password), window, client, client, shown, spent)
    answer.print(timings(spent))
    answer.print(f"\n{urls(client)}\nserving   {served}\n\n{curl(client)}", soft_wrap=True,
                 markup=False)  # fmt: skip


def _by_airflow(
    airflow: Airflow,
    window: Window,
    settings: Settings,
    client: Settings,
    shown: Display,
    spent: dict[str, float],
) -> str:
    """Run the first pipelines over the window and wait for the champion; return what serves."""
    for pipeline in FIRST_RUN:
        began = seconds()
        console.print(f"[bold]{pipeline.name}[/bold]  to {window.end:%Y-%m-%d}, by Airflow")
        airflow.await_dag(pipeline.name)
        shown.new_run()
        run = airflow.trigger_dag(pipeline.name, window)
        airflow.unpause(pipeline.name)
        airflow.wait(pipeline.name, run, seconds=RUN_SECONDS, progress=shown.tasks)
        spent[pipeline.name] = seconds() - began
    began = seconds()
    served = await_champion(settings, client, next(iter(PRODUCTS)))
    spent["deploy"] = seconds() - began
    let_run(airflow)
    airflow.close()
    return served


def let_run(airflow: Airflow) -> None:
    """Unpause every DAG: from here on all runs by itself."""
    for pipeline in PIPELINES.values():
        airflow.await_dag(pipeline.name)
        airflow.unpause(pipeline.name)


def await_champion(settings: Settings, client: Settings, product: str) -> str:
    """Wait until the API answers with the champion; return its slot and version.

    Raises
    ------
    StackError
        If it does not within `DEPLOY_SECONDS`.
    """
    import httpx

    from riskcast.registry import CHAMPION, Registry

    version = Registry(client).alias(product, CHAMPION)
    key = (settings.keys_path / "api.key").read_text().strip()
    url = f"http://{LOOPBACK}:{settings.api_port}/predict"
    until, said = seconds() + DEPLOY_SECONDS, "no answer"
    while seconds() < until:
        try:
            got = httpx.post(url, json={}, headers={"X-API-Key": key}, timeout=10)
        except httpx.HTTPError as error:
            said = str(error)
        else:
            said = f"{got.status_code} {got.text[:200]}"
            model = got.headers.get("X-Riskcast-Model", "")
            if got.is_success and model == f"{product}/{version}":
                return f"{model} on {got.headers['X-Riskcast-Slot']}"
        time.sleep(0.5)
    raise StackError(
        f"{url} does not serve {product} {version} after {DEPLOY_SECONDS:.0f} s: {said}"
    )
