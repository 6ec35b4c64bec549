"""The demo of drift on servers of its own: the events of Airflow close the loop."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from riskcast.cli.first_run import await_champion, let_run
from riskcast.cli.progress import Display, console
from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY, MONITOR, TRAIN_DAILY_RISK
from riskcast.products import PRODUCTS

if TYPE_CHECKING:
    from riskcast.jobs.airflow_api import Airflow

RUN_SECONDS = 3600.0
EVENT_SECONDS = 120.0  # from an event to its run


def play_on_the_stack(settings: Settings, past: Window, weeks: int, shown: Display) -> None:
    """Start every server, train on the past, then hand Airflow weeks until drift is answered.

    Only market_daily is asked for. Monitoring starts by the event of its table, and training by
    the event of drift; both are waited for.

    Raises
    ------
    StackError
        If a run fails, or no drift is found in so many weeks.
    """
    from riskcast.jobs.airflow_api import Airflow
    from riskcast.serving.auth import ensure_api_key
    from riskcast.standalone import airflow_password, airflow_url, connected, up

    ensure_api_key(settings)
    up(settings, shown.process)
    client = connected(settings)
    airflow = Airflow(airflow_url(settings), "admin", airflow_password(settings))
    for each in FIRST_RUN:
        console.print(f"[bold]{each.name}[/bold]  to {past.end:%Y-%m-%d}, by Airflow")
        airflow.await_dag(each.name)
        airflow.unpause(each.name)
        _finish(airflow, each.name, airflow.trigger_dag(each.name, past), shown)
    product = next(iter(PRODUCTS.values()))
    console.print(f"serving   {await_champion(settings, client, product.name)}")
    let_run(airflow)
    end = past.end
    for week in range(1, weeks + 1):
        window = Window(end, end + timedelta(days=7))
        end = window.end
        console.print(f"[bold]week {week}[/bold]  to {end:%Y-%m-%d}")
        if _live(airflow, client, window, shown):
            console.print(f"serving   {await_champion(settings, client, product.name)}")
            airflow.close()
            return
    raise StackError(f"no drift was found within {weeks} weeks of a shifted market")


def _live(airflow: Airflow, client: Settings, window: Window, shown: Display) -> bool:
    """Run a window's data, and what their events start; return whether drift was answered."""
    from riskcast.lake import open_lake
    from riskcast.lake.rows import inside
    from riskcast.tables.output import DECISIONS, HEALTH

    before = {p.name: set(airflow.run_states(p.name)) for p in (MONITOR, TRAIN_DAILY_RISK)}
    _finish(airflow, MARKET_DAILY.name, airflow.trigger_dag(MARKET_DAILY.name, window), shown)
    _follow(airflow, MONITOR.name, before, shown)
    asked = open_lake(client).read(HEALTH).filter(inside(window), check="retrain")
    if asked.is_empty():
        return False
    console.print(f"[bold]drift[/bold]  {asked['why'][0]}")
    try:
        _follow(airflow, TRAIN_DAILY_RISK.name, before, shown)
    except StackError as failed:
        decided = open_lake(client).read(DECISIONS).sort("as_of").row(-1, named=True)
        if decided["verdict"] != "refuse":
            raise
        console.print(f"  [yellow]kept champion[/yellow]: {decided['reason']} ({failed})")
    # Deployments are told by monitoring, which has no reason to run before the next session.
    console.print(f"[bold]{MONITOR.name}[/bold]  once more, to tell")
    _finish(airflow, MONITOR.name, airflow.trigger_dag(MONITOR.name, window), shown)
    return True


def _follow(airflow: Airflow, name: str, before: dict[str, set[str]], shown: Display) -> None:
    """Wait for the run that an event starts, and for its end."""
    console.print(f"[bold]{name}[/bold]  by its event")
    until = seconds() + EVENT_SECONDS
    while not (new := set(airflow.run_states(name)) - before[name]):
        if seconds() > until:
            raise StackError(
                f"no event started a run of {name} within {EVENT_SECONDS:.0f} s; see the log of "
                "the task that should have made it"
            )
        time.sleep(1.0)
    for run in sorted(new):
        _finish(airflow, name, run, shown)


def _finish(airflow: Airflow, name: str, run: str, shown: Display) -> None:
    shown.new_run()
    airflow.wait(name, run, seconds=RUN_SECONDS, progress=shown.tasks)
