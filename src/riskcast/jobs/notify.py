"""Mail what changed: once when it begins, once when it ends, and the day's forecast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from riskcast.alerts import send
from riskcast.alerts.letters import Letter
from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs import drift_page
from riskcast.jobs.drift_report import page_of
from riskcast.jobs.letters import (
    ADVICE,
    CHAMPION,
    alarm_letter,
    alert_letter,
    deployment_letter,
    digest_letter,
    refused_letter,
    resolved_letter,
)
from riskcast.lake import Lake
from riskcast.lake.rows import inside
from riskcast.products import Product
from riskcast.tables.output import DEPLOYMENTS, NOTICES

# Of the ledger, which goes by the wall clock even over a sample: from a Saturday's training to the
# next monitoring are four days where Monday is a holiday.
RECENT = timedelta(days=7)
ON_THE_WAY = ("canary", "flip")  # steps of a rollout; its end is told


@dataclass(frozen=True, slots=True)
class Due:
    """A mail to send and how it is remembered."""

    key: str
    kind: str
    state: str
    letter: Letter


def notify(
    health: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    settings: Settings,
    lake: Lake,
    window: Window,
    product: Product,
) -> None:
    """Send the mails that are due and remember them; none in a backfill or without a server.

    The ledger and the alerts asked for by clients go by the wall clock, whatever the window.

    A mail is remembered after it was taken by the server: stopped in between, a second run sends
    it again rather than never.

    Raises
    ------
    MailFailed
        If the server does not take a mail; those before it are remembered.
    """
    if not settings.mails or _backfill(lake, product, window):
        return
    told = lake.read(NOTICES)
    fresh = health.filter(inside(window))
    for due in (
        *_alarms(fresh, told, product),
        *_digest(fresh, predictions, labels, told, product),
    ):
        letter = _with_report(due.letter, fresh, settings, product)
        _remember(lake, due, send(settings, letter.mail()))
    for due in _deployed(lake.read(DEPLOYMENTS).filter(pl.col("at") > wall() - RECENT), told):
        _remember(lake, due, send(settings, due.letter.mail()))
    _asked(settings, lake, told)


def tell(
    decisions: pl.DataFrame, *, settings: Settings, lake: Lake, window: Window, product: Product
) -> None:
    """Say why the champion stays, where a candidate of the window's end was refused.

    Parameters
    ----------
    decisions : DataFrame
        Rows of `decisions`.

    Raises
    ------
    MailFailed
        As `notify`.
    """
    if not settings.mails:
        return
    told = lake.read(NOTICES)
    mine = decisions.filter(pl.col("as_of") == window.as_of, product=product.name, verdict="refuse")
    for row in mine.iter_rows(named=True):
        key = f"{product.name}|refused|{row['recipe']}|{row['as_of']:%FT%T}"
        if told.filter(pl.col("key") == key).is_empty():
            due = Due(key, "refused", "told", refused_letter(row))
            _remember(lake, due, send(settings, due.letter.mail()))


def _asked(settings: Settings, lake: Lake, told: pl.DataFrame) -> None:
    """Send the alerts that clients of the API asked for, and remove each once it is sent."""
    for path in sorted(settings.alerts_path.glob("*.json")):
        key = f"alert|{path.stem}"
        if told.filter(pl.col("key") == key).is_empty():
            due = Due(key, "alert", "told", alert_letter(json.loads(path.read_text())))
            _remember(lake, due, send(settings, due.letter.mail()))
        path.unlink()  # after it is remembered: stopped in between, it is not sent again


def _with_report(
    letter: Letter, fresh: pl.DataFrame, settings: Settings, product: Product
) -> Letter:
    """Return the letter with the verdicts attached and a link to the page, if there is one."""
    at = fresh["at"].max()
    if not isinstance(at, datetime):
        return letter
    latest, day = fresh.filter(pl.col("at") == at), at.date()
    page = page_of(settings, product, day)
    links = (
        ("Report of the session", f"{settings.door}/reports/{page.name}"),
        ("All reports", f"{settings.door}/reports/"),
    )
    return replace(
        letter,
        links=(*letter.links, *links) if page.exists() else letter.links,
        attachments={f"{product.name}-{day}.html": _attached(latest, product, day)},
    )


def _attached(latest: pl.DataFrame, product: Product, day: date) -> bytes:
    """Return the verdicts as a page of its own: it opens without the server that sent it."""
    return drift_page.alone(drift_page.verdicts(latest, product, day)).encode()


def _backfill(lake: Lake, product: Product, window: Window) -> bool:
    """Whether the lake knows sessions after the window."""
    newest = lake.read(product.features)["known_at"].max()
    return isinstance(newest, datetime) and newest > window.end


def _remember(lake: Lake, due: Due, message_id: str) -> None:
    now = wall()
    row = pl.DataFrame(
        {
            "key": [due.key],
            "at": [now],
            "kind": [due.kind],
            "subject": [due.letter.decision],
            "state": [due.state],
            "message_id": [message_id],
            "known_at": [now],
            "source": ["mail"],
        },
        schema_overrides={name: pl.Datetime("us", "UTC") for name in ("at", "known_at")},
    )
    lake.write(NOTICES, row, Window(now - timedelta(microseconds=1), now))


def _alarms(fresh: pl.DataFrame, told: pl.DataFrame, product: Product) -> Iterator[Due]:
    """Yield what began and what ended, a mail for each check."""
    if fresh.is_empty():
        return
    latest = fresh.filter(pl.col("at") == pl.col("at").max())
    for check in ADVICE:
        key = f"{product.name}|{check}"
        before = told.filter(pl.col("key") == key).sort("at")
        is_open = before.height > 0 and before["state"][-1] == "open"
        if check == "drift":  # one series is a line of the digest; the family is a mail
            latest = latest.filter((pl.col("check") != "drift") | _serious(latest))
        # Requests are instants, not states: they are told once and never resolved.
        passing = check in ("retrain", "rollback")
        rows = (fresh if passing else latest).filter(
            (pl.col("check") == check) & (pl.col("verdict") == "alarm")
        )
        if passing:
            for at in rows["at"].unique().sort():
                if told.filter(pl.col("key") == f"{key}|{at:%F}").is_empty():
                    letter = alarm_letter(check, rows, fresh, product)
                    yield Due(f"{key}|{at:%F}", check, "told", letter)
        elif rows.height and not is_open:
            yield Due(key, check, "open", alarm_letter(check, rows, fresh, product))
        elif rows.is_empty() and is_open:
            yield Due(key, "resolved", "resolved", resolved_letter(check, latest, product))


def _serious(rows: pl.DataFrame) -> pl.Expr:
    """Return whether drift of all series together alarms."""
    family = (pl.col("check") == "drift") & (pl.col("subject") == "all")
    return pl.lit(value=rows.filter(family & (pl.col("verdict") == "alarm")).height > 0)


def _deployed(fresh: pl.DataFrame, told: pl.DataFrame) -> Iterator[Due]:
    for row in fresh.filter(~pl.col("action").is_in(ON_THE_WAY)).sort("at").iter_rows(named=True):
        key = f"deployment|{row['event_id']}"
        if told.filter(pl.col("key") == key).is_empty():
            yield Due(key, "deployment", "told", deployment_letter(row))


def _digest(
    fresh: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    told: pl.DataFrame,
    product: Product,
) -> Iterator[Due]:
    mine = predictions.filter(pl.col("slot") == CHAMPION).sort("date")
    if mine.is_empty():
        return
    key = f"{product.name}|digest|{mine['date'][-1]}"
    if told.filter(pl.col("key") == key).is_empty():
        yield Due(key, "digest", "told", digest_letter(mine, labels, fresh))
