"""Mails of failures, against a real SMTP server on loopback; nothing they do can fail a task."""

from __future__ import annotations

import asyncio
import re
import socketserver
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from riskcast.jobs.letters import failure_letter
from riskcast.pipelines import PIPELINES
from riskcast_airflow import mails

ROOT = Path(__file__).parents[2]


class Inbox(socketserver.ThreadingTCPServer):
    """As much of SMTP as one message without TLS needs."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 inbox")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                self._say("354 go ahead")
                lines = []
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(line)
                self.server.messages.append("\n".join(lines))
            self._say("221 bye" if verb == "QUIT" else "250 inbox")
            if verb == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def inbox(monkeypatch):
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name, value in {
            "HOST": "127.0.0.1",
            "PORT": str(server.server_address[1]),
            "TLS": "none",
            "TO": "ops@example.org",
        }.items():
            monkeypatch.setenv(f"RISKCAST_MAIL_{name}", value)
        yield server.messages
        server.shutdown()
        thread.join()


def context(run_type: str = "scheduled") -> dict:
    return {
        "ti": SimpleNamespace(dag_id="market_daily", task_id="features", try_number=3),
        "dag_run": SimpleNamespace(run_id="scheduled__2018-12-31", run_type=run_type),
        "exception": ValueError("no such column"),
    }


def test_a_failed_task_is_told_with_its_log_and_the_page_that_helps(inbox):
    mails.failed(context())
    (message,) = inbox
    assert "Subject: [riskcast] market_daily.features failed" in message
    for said in (
        "failed after 3 attempt(s)",
        "no such column",
        "/dags/market_daily/runs/scheduled__2018-12-31/tasks/features",
        "docs/runbook.md#market_daily",
    ):
        assert said in message


def test_a_failure_in_a_backfill_sends_nothing_and_says_so(inbox, caplog):
    with caplog.at_level("INFO"):
        mails.failed(context("backfill"))
    assert inbox == []
    assert "backfill: no mail about market_daily.features is sent" in caplog.text


def test_a_mail_server_that_is_down_fails_no_task(monkeypatch, caplog):
    monkeypatch.setenv("RISKCAST_MAIL_HOST", "127.0.0.1")
    monkeypatch.setenv("RISKCAST_MAIL_PORT", "1")
    monkeypatch.setenv("RISKCAST_MAIL_TLS", "none")
    monkeypatch.setenv("RISKCAST_MAIL_TO", "ops@example.org")
    mails.failed(context())
    assert "mail not sent: [riskcast] market_daily.features failed" in caplog.text


def test_without_a_mail_server_the_log_says_what_was_not_sent(monkeypatch, caplog):
    monkeypatch.delenv("RISKCAST_MAIL_HOST", raising=False)
    with caplog.at_level("WARNING"):
        mails.failed(context())
    assert "RISKCAST_MAIL_HOST" in caplog.text


def test_a_missed_deadline_is_told(inbox):
    asyncio.run(
        mails.late(context={"dag_run": {"dag_id": "market_daily", "dag_run_id": "scheduled__1"}})
    )
    assert "Subject: [riskcast] market_daily is late" in inbox[0]
    assert "docs/runbook.md#market_daily" in inbox[0]


def anchors(page: Path) -> set[str]:
    """What a browser finds after #, as GitHub and MkDocs make it from headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PIPELINES)
def test_the_page_a_mail_links_to_has_a_section_on_the_pipeline(name, inbox):
    told = context()
    told["ti"].dag_id = name
    mails.failed(told)
    asyncio.run(mails.late(dag_id=name))
    letter = failure_letter(name, "any", "it broke", "")
    for text in (*inbox, letter.footer):
        page, anchor = re.search(r"(docs/\S+\.md)#([\w-]+)", text).groups()
        assert anchor == name
        assert anchor in anchors(ROOT / page)


def test_the_check_sees_an_anchor_that_is_gone(tmp_path):
    page = tmp_path / "runbook.md"
    page.write_text("# Runbook\n\n### market_daily\n\nSee #monitor.\n")
    assert anchors(page) == {"runbook", "market_daily"}
