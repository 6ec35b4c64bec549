"""Mails of failures and missed deadlines. They never fail, block or repeat what they are about."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.exceptions import AirflowException

from riskcast.alerts.mail import Mail, send
from riskcast.core.errors import RiskcastError
from riskcast.core.settings import read_settings
from riskcast_airflow import events

RUNBOOK = "docs/runbook.md"
log = logging.getLogger(__name__)


def failed(context: Any) -> None:
    """Tell that a task has failed for good: which, why, where its log is and what to do.

    A verdict is no failure to mend: the step that reached it has told it.
    """
    ti, run = context["ti"], context["dag_run"]
    if run.run_type == "backfill":
        log.info("backfill: no mail about %s.%s is sent", ti.dag_id, ti.task_id)
        return
    left = _failure(context)
    if left is not None and left.final:
        log.info("a verdict, told by its own mail: no mail of failure is sent about %s", left)
        return
    member = events.member_of(ti)
    of = f" of {member}" if member else ""
    lines = [
        f"{ti.dag_id}.{ti.task_id}{of} failed after {ti.try_number} attempt(s).",
        f"What:    {left or context.get('exception') or 'see the log'}",
        f"Run:     {run.run_id}",
        f"Log:     {ti.log_url}",
        f"Runbook: {RUNBOOK}#{ti.dag_id}",
        "",
        "The steps after it have not run. Clear the task to run it again for the same window.",
    ]
    _post(Mail(f"[riskcast] {ti.dag_id}.{ti.task_id} failed", "\n".join(lines)))


def _failure(context: Any) -> events.Failure | None:
    try:
        return events.failure(context)
    except AirflowException:
        log.exception("what the step has left cannot be read")
        return None


async def late(**kwargs: Any) -> None:
    """Tell that a run has not ended in time; called by the triggerer."""
    run = kwargs.get("context", {}).get("dag_run", {})
    dag_id = run.get("dag_id", kwargs.get("dag_id", "a run"))
    lines = [
        f"{dag_id} has not ended by its deadline.",
        f"Run:     {run.get('dag_run_id') or run.get('run_id', 'unknown')}",
        f"Runbook: {RUNBOOK}#{dag_id}",
        "",
        "The forecast of the last session is not published yet; the one before still serves.",
    ]
    await asyncio.to_thread(_post, Mail(f"[riskcast] {dag_id} is late", "\n".join(lines)))


def _post(mail: Mail) -> None:
    try:
        settings = read_settings()
        if not settings.mails:
            log.warning(
                "no mail server is set (RISKCAST_MAIL_HOST or _BY); not sent: %s", mail.subject
            )
            return
        send(settings, mail)
    except RiskcastError:
        # The task's own failure is what counts; this one is kept beside it.
        log.exception("mail not sent: %s", mail.subject)
