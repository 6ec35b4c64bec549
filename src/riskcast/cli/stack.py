"""Commands on the running stack: quickstart, up, down, status, logs, predict."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from riskcast.cli.progress import console, display
from riskcast.core.settings import LOOPBACK, PREFIX, read_settings

COMPOSE = Annotated[bool, typer.Option("--compose", help="The stack in containers.")]


def quickstart(
    direct: Annotated[
        bool, typer.Option(help="Run the steps in this process, without any server.")
    ] = False,
    compose: COMPOSE = False,
) -> None:
    """Start the stack, load the history, train, gate, deploy and forecast."""
    from riskcast.cli import first_run

    if direct and compose:
        raise typer.BadParameter("--direct runs no server, --compose runs them in containers")
    settings = read_settings()
    with display() as shown:
        if direct:
            first_run.run_direct(settings, shown)
        elif compose:
            first_run.run_on_containers(settings, shown)
        else:
            first_run.run_on_the_stack(settings, shown)


def serve() -> None:
    """Serve the champion in this process, on the API's own port, without nginx."""
    from riskcast.serving.__main__ import main as run_server

    settings = read_settings()
    own_port = f"{PREFIX}{settings.slot.upper()}_PORT"
    os.environ[own_port] = settings.api_port
    console.print(f"http://{LOOPBACK}:{settings.api_port}/docs")
    run_server()


def up(
    compose: COMPOSE = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --compose: also what the main job does not need.")
    ] = False,
) -> None:
    """Start every server of the stack; a running one stays as it is."""
    from riskcast.cli.summary import urls
    from riskcast.standalone import compose as containers
    from riskcast.standalone import up as start

    settings = read_settings()
    with display() as shown:
        if compose:
            containers.compose_up(settings, shown.process, ("full",) if full else ())
            settings = containers.client(settings)
        else:
            start(settings, shown.process)
    console.print(urls(settings))


def down(
    compose: COMPOSE = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="With --compose: remove all its data, too.")
    ] = False,
) -> None:
    """Stop every server of the stack."""
    from riskcast.standalone import compose as containers
    from riskcast.standalone import down as stop

    if compose:
        containers.compose_down(volumes=volumes)
    else:
        stop(read_settings())
    console.print("stack is down")


def secrets(
    folder: Annotated[Path | None, typer.Option(help="Where; the checkout's secrets/.")] = None,
) -> None:
    """Make the secrets of the containers; those that are there stay."""
    from riskcast.standalone import compose as containers

    made = containers.make_secrets(read_settings(), folder or containers.secrets_folder())
    console.print(f"secrets   {made}")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what runs, what serves and how far the data goes."""
    from riskcast.standalone import status as read_status

    said = read_status(read_settings())
    if as_json:
        typer.echo(json.dumps(said, indent=2))
        return
    for name, value in said.items():
        if isinstance(value, list | dict):
            continue
        typer.echo(f"{name:<14} {value}")
    for process in said["processes"]:
        typer.echo(f"  {process['name']:<24} {process['state']}")


def logs(
    process: Annotated[str, typer.Argument(help="Process; `riskcast status` lists them.")],
    lines: Annotated[int, typer.Option(help="Lines from the end.")] = 50,
) -> None:
    """Print the end of a process's log."""
    from riskcast.standalone import tail_logs

    typer.echo(tail_logs(read_settings(), process, lines))


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command inside the stack, e.g. `riskcast airflow backfill create ...`."""
    from riskcast.standalone.layout import Layout
    from riskcast.standalone.processes import airflow_environment, riskcast_environment

    settings = read_settings()
    environment = {
        **os.environ,
        **riskcast_environment(settings),
        **airflow_environment(settings, Layout.of(settings)),
    }
    program = str(Path(sys.executable).with_name("airflow"))
    os.execve(program, ["airflow", *context.args], environment)  # noqa: S606  no shell wanted


def predict(
    as_of_date: Annotated[str, typer.Option(help="Session; the latest when left out.")] = "",
) -> None:
    """Ask the API for a forecast and print its JSON."""
    import httpx

    settings = read_settings()
    key = (settings.keys_path / "api.key").read_text().strip()
    body = {"as_of_date": as_of_date} if as_of_date else {}
    url = f"http://{LOOPBACK}:{settings.api_port}/predict"
    answer = httpx.post(url, json=body, headers={"X-API-Key": key}, timeout=30)
    typer.echo(json.dumps(answer.json(), indent=2))
    if answer.is_error:
        raise typer.Exit(3)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "help_option_names": [],  # --help is Airflow's
        }
    )(airflow)
    for command in (quickstart, serve, up, down, secrets, status, logs, predict):
        app.command()(command)
