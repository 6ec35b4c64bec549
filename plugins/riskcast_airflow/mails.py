"""Mails of failures and missed deadlines. They never fail, block or repeat what they are about."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.configuration import conf

from riskcast.alerts.mail import Mail, send
from riskcast.core.errors import RiskcastError
from riskcast.core.settings import read_settings

RUNBOOK = "docs/runbook.md"
log = logging.getLogger(__name__)


def failed(context: Any) -> None:
    """Tell that a task has failed for good: which, why, where its log is and what to do."""
    ti, run = context["ti"], context["dag_run"]
    if run.run_type == "backfill":
        log.info("backfill: no mail about %s.%s is sent", ti.dag_id, ti.task_id)
        return
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    lines = [
        f"{ti.dag_id}.{ti.task_id} failed after {ti.try_number} attempt(s).",
        f"What:    {context.get('exception') or 'see the log'}",
        f"Run:     {run.run_id}",
        f"Log:     {base}/dags/{ti.dag_id}/runs/{run.run_id}/tasks/{ti.task_id}",
        f"Runbook: {RUNBOOK}#{ti.dag_id}",
        "",
        "The steps after it have not run. Clear the task to run it again for the same window.",
    ]
    _post(Mail(f"[riskcast] {ti.dag_id}.{ti.task_id} failed", "\n".join(lines)))


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
