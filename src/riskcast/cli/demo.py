"""The command demo: watch the loop close, from a market that changes to what is done about it."""

from __future__ import annotations

import mailbox
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from email.message import Message
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from riskcast.cli.demo_stack import play_on_the_stack
from riskcast.cli.progress import Display, answer, console, display
from riskcast.cli.summary import urls
from riskcast.core.errors import GateRefused, StackError
from riskcast.core.settings import LOOPBACK, Settings, read_settings
from riskcast.core.window import Window
from riskcast.lake import open_lake
from riskcast.pipelines import FIRST_RUN, MARKET_DAILY, PIPELINES, Pipeline, pipeline
from riskcast.runner import Ports, StepReport, run_pipeline
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, HEALTH

BEGINNING = date(1960, 1, 1)
SHIFT = date(2018, 10, 1)
FACTOR = 4.0  # times every move of the market
WEEKS = 12
DRIFT = "drift"
SERVERS = tuple(
    f"{name}_port"
    for name in (
        *("api", "blue", "green", "airflow", "mlflow", "redis"),
        *("dashboard", "inbox", "smtp"),
    )
)
demo = typer.Typer(help="Watch the platform act, in a home of its own.", no_args_is_help=True)


@demo.command()
def drift(
    home: Annotated[Path | None, typer.Option(help="Folder of the demo; made anew.")] = None,
    stack: Annotated[
        bool,
        typer.Option(
            "--stack/--direct",
            help="On servers of its own, by Airflow's events, and left running to be looked at; "
            "or in this process.",
        ),
    ] = False,
) -> None:
    """Plant a shift of the market into the sample; drift, retraining, gate, rollout, mails."""
    folder = home or read_settings().home_path / "demo-drift"
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty; remove it, or name another folder with --home")
    # Ports of its own: a stack that runs beside it is not asked for anything.
    own = replace(
        Settings(home=str(folder), sample_shift=f"{SHIFT}:{FACTOR:g}"),
        **dict(zip(SERVERS, map(str, _free_ports(len(SERVERS))), strict=True)),
    )
    past = Window.parse(str(BEGINNING), str(SHIFT - timedelta(days=3)))
    if stack:
        with display() as shown:
            play_on_the_stack(own, past, WEEKS, shown)
        _say_where(own)
        answer.print(
            f"{urls(own)}\nto stop it: RISKCAST_HOME={own.home_path} riskcast down",
            markup=False,
            soft_wrap=True,
        )
        return
    with _inbox(folder / "inbox", int(own.smtp_port)), display() as shown:
        mailed = replace(
            own,
            mail_host=LOOPBACK,
            mail_port=own.smtp_port,
            mail_tls="none",
            mail_to="desk@localhost",
        )
        _play(mailed, past, shown)
    _say_where(own)


def _play(settings: Settings, past: Window, shown: Display) -> None:
    """Train on the quiet past, then live through weeks until drift has been answered."""
    ports = _ports(settings, shown)
    console.print(f"[bold]the past[/bold]  {BEGINNING} to {past.end:%Y-%m-%d}, as it was")
    for each in FIRST_RUN:
        _run(each, past, ports, shown)
    end = past.end
    for week in range(1, WEEKS + 1):
        window = Window(end, end + timedelta(days=7))
        end = window.end
        console.print(f"[bold]week {week}[/bold]  to {end:%Y-%m-%d}, every move times {FACTOR:g}")
        ports = _ports(settings, shown)
        _run(MARKET_DAILY, window, ports, shown)
        reports = _run(PIPELINES["monitor"], window, ports, shown)
        if any(DRIFT in report.announced for report in reports):
            console.print("[bold]drift[/bold]  the event starts train_daily_risk")
            _retrain(settings, Window.parse(str(BEGINNING), f"{end:%FT%T}Z"), shown)
            _run(PIPELINES["monitor"], window, ports, shown, only="notify")
            return
    raise StackError(
        f"no drift was found within {WEEKS} weeks of a market {FACTOR:g} times as wild"
    )


def _retrain(settings: Settings, window: Window, shown: Display) -> None:
    try:
        _run(pipeline("train_daily_risk"), window, _ports(settings, shown), shown)
    except GateRefused as refused:
        console.print(f"  [yellow]kept champion[/yellow]: {refused}")


def _ports(settings: Settings, shown: Display) -> Ports:
    return Ports(settings, progress=shown.part)


def _run(
    asked: Pipeline, window: Window, ports: Ports, shown: Display, only: str = ""
) -> tuple[StepReport, ...]:
    console.print(f"[bold]{asked.name}[/bold]")
    return run_pipeline(
        asked, window, ports, only=only, on_start=shown.step_started, on_done=shown.step_done
    )


def _say_where(settings: Settings) -> None:
    lake = open_lake(settings)
    asked = lake.read(HEALTH).filter(check="retrain").sort("at")
    verdict = lake.read(DECISIONS).sort("as_of").row(-1, named=True)
    served = lake.read(DEPLOYMENTS).filter(pl.col("action") == "promote").sort("at")
    answer.print("\n[bold]What happened[/bold]")
    answer.print(f"drift      {asked['at'][0]:%Y-%m-%d}: {asked['why'][0]}")
    answer.print(f"gate       {verdict['verdict']}: {verdict['reason']}")
    answer.print(f"champion   version {served['model_version'][-1]}")
    box = mailbox.Maildir(settings.home_path / "inbox")
    answer.print("\n[bold]Where to look[/bold]")
    for mail in box:
        answer.print(f"mail       {str(mail['Subject']).strip()}", markup=False)
    home = f"RISKCAST_HOME={settings.home_path}"
    answer.print(
        f"inbox      {settings.home_path / 'inbox'}\n"
        f"pages      {settings.reports_path / 'index.html'}\n"
        f"ledger     {home} riskcast models history\n"
        f"verdicts   {home} riskcast mail preview retrain",
        markup=False,
        soft_wrap=True,
    )


@contextmanager
def _inbox(folder: Path, port: int) -> Iterator[None]:
    """Take mails on loopback while the block runs."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Message as Handler

    class Keep(Handler):  # type: ignore[misc]
        def handle_message(self, message: Message) -> Any:
            mailbox.Maildir(folder).add(message)

    folder.parent.mkdir(parents=True, exist_ok=True)
    smtp = Controller(Keep(), hostname=LOOPBACK, port=port)
    smtp.start()
    try:
        yield
    finally:
        smtp.stop()


def _free_ports(count: int) -> list[int]:
    """Return ports nobody listens on: held together, then let go."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(demo, name="demo")
