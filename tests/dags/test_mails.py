"""Mails of failures, against a real SMTP server on loopback; nothing they do can fail a task."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from tests.dags.inbox import Inbox, text

from riskcast.core.errors import FitFailed, GateRefused, NotEnoughHistory
from riskcast.core.settings import Settings
from riskcast.jobs.letters import failure_letter
from riskcast.pipelines import PIPELINES, failure_key, pipeline
from riskcast.runner import write_failure
from riskcast_airflow import events, mails
from riskcast_airflow.dag import build_dag

ROOT = Path(__file__).parents[2]


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


RUN = "scheduled__2018-12-31"
LOG = f"http://127.0.0.1:8085/dags/market_daily/runs/{RUN}/tasks"


def context(run_type: str = "scheduled", **given) -> dict:
    known = {"dag_id": "market_daily", "task_id": "features", "try_number": 3, "map_index": -1}
    ti = SimpleNamespace(
        **known | given, start_date=datetime.now(UTC), log_url=f"{LOG}/features?try_number=3"
    )
    return {
        "ti": ti,
        "run_id": RUN,
        "dag_run": SimpleNamespace(run_id=RUN, run_type=run_type),
        "exception": ValueError("exit code 3"),
    }


def test_a_failed_task_is_told_with_its_log_and_the_page_that_helps(inbox):
    mails.failed(context())
    (message,) = inbox
    assert "Subject: [riskcast] market_daily.features failed" in message
    for said in (
        "failed after 3 attempt(s)",
        "exit code 3",
        f"Log:     {LOG}/features",
        "docs/runbook.md#market_daily",
    ):
        assert said in text(message)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home whose files of bars are not there, which the step that reads them fails of."""
    for name, value in {"HOME": tmp_path / "home", "SOURCE": "files", "FILES": tmp_path}.items():
        monkeypatch.setenv(f"RISKCAST_{name}", str(value))
    return Settings(home=str(tmp_path / "home"))


def fail(step: str, *more: str, name: str = "market_daily") -> subprocess.CompletedProcess:
    program = str(Path(sys.executable).with_name("riskcast"))
    asked = [program, "run", name, step, "--start", "2018-12-30", "--end", "2018-12-31"]
    return subprocess.run(
        [*asked, "--run-id", RUN, *more], capture_output=True, text=True, timeout=120
    )


def test_the_mail_names_the_error_and_its_cure_and_not_an_exit_code(inbox, home):
    told = context(task_id="ingest_market")
    done = fail("ingest_market")
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    code, sentence = re.fullmatch(r"error \[([\w-]+)\] (.+) \(docs/.+\)", last).groups()
    assert code == "source-missing"
    mails.failed(told)
    (message,) = inbox
    assert f"What:    [{code}] {sentence}" in text(message)
    assert "exit code" not in text(message)


def test_the_task_itself_fails_with_the_named_error(home):
    task = build_dag(pipeline("market_daily"), None).get_task("ingest_market")
    asked = f"--start 2018-12-30 --end 2018-12-31 --run-id {RUN}"
    program = Path(sys.executable).with_name("riskcast")
    task.bash_command = f"exec {program} run market_daily ingest_market {asked}"
    with pytest.raises(AirflowException, match=r"^\[source-missing\] "):
        task.execute(context(task_id="ingest_market"))


def test_a_step_that_was_killed_left_no_error_so_airflows_own_words_are_told(inbox, home):
    key = failure_key("market_daily", "features", RUN)
    mails.failed(context())
    write_failure(home, "market_daily", RUN, "features", NotEnoughHistory("of yesterday"))
    assert (Path(home.lake_root) / key).is_file()
    mails.failed(context())  # an attempt that began after the error was left
    assert ["exit code 3" in message for message in inbox] == [True, True]


def test_the_failure_of_a_candidate_is_told_as_its_own(inbox, home):
    write = partial(write_failure, home, "train_daily_risk", RUN, "walk")
    members = pipeline("train_daily_risk").step("walk").over
    told = [
        context(dag_id="train_daily_risk", task_id="walk", map_index=i) for i in range(len(members))
    ]
    write(FitFailed("no finite solution; see its log"), member=members[1])
    for each in told[:2]:
        mails.failed(each)
    assert f"walk of {members[0]} failed" in inbox[0] and "exit code 3" in inbox[0]
    assert f"walk of {members[1]} failed" in inbox[1]
    assert "[fit-failed] no finite solution" in inbox[1]


def test_a_bug_is_told_by_its_kind(home):
    write_failure(home, "market_daily", RUN, "features", KeyError("vix"))
    told = context() | {"dag_run": SimpleNamespace(run_id=RUN, run_type="manual")}
    told["ti"].start_date = datetime(2000, 1, 1, tzinfo=UTC)
    assert str(events.failure(told)) == "[bug] KeyError: 'vix'"


def test_a_verdict_is_reached_once_and_is_no_failure_to_mail(inbox, home, caplog):
    told = context(dag_id="train_daily_risk", task_id="register")
    error = GateRefused("daily_risk P2: not better; the champion stays")
    write_failure(home, "train_daily_risk", RUN, "register", error)
    with pytest.raises(AirflowFailException, match=r"\[gate-refused\]"), events.named(told):
        raise AirflowException("exit code 4")
    with caplog.at_level("INFO"):
        mails.failed(told)
    assert inbox == []
    assert "no mail of failure is sent about [gate-refused]" in caplog.text


def test_what_may_end_better_is_tried_again(home):
    told = context()
    write_failure(home, "market_daily", RUN, "features", NotEnoughHistory("of yesterday"))
    with pytest.raises(AirflowException, match="not-enough-history") as tried, events.named(told):
        raise AirflowException("exit code 3")
    assert not isinstance(tried.value, AirflowFailException)


def test_a_lake_that_takes_no_note_hides_no_error(home, tmp_path):
    (tmp_path / "home" / "lake").mkdir(parents=True)
    (tmp_path / "home" / "lake" / "runs").write_text("in the way")
    done = fail("ingest_market")
    assert "could not be left behind" in done.stderr
    assert "error [source-missing]" in done.stderr.splitlines()[-1]


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
    told["ti"].dag_id, told["ti"].task_id = name, PIPELINES[name].steps[-1].name
    mails.failed(told)
    asyncio.run(mails.late(dag_id=name))
    letter = failure_letter(name, "any", "it broke", "")
    for said in (*inbox, letter.footer):
        page, anchor = re.search(r"(docs/\S+\.md)#([\w-]+)", said).groups()
        assert anchor == name
        assert anchor in anchors(ROOT / page)


def test_the_check_sees_an_anchor_that_is_gone(tmp_path):
    page = tmp_path / "runbook.md"
    page.write_text("# Runbook\n\n### market_daily\n\nSee #monitor.\n")
    assert anchors(page) == {"runbook", "market_daily"}
