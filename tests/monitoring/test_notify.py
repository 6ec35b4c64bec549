"""Mails tell once what begins, once what ends, and nothing in a backfill."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.alerts.smtp_server import smtp_server
from tests.serving.serving_world import EVER
from tests.serving.serving_world import rows as feature_rows

from riskcast.core.clock import wall
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.letters import deployment_letter, failure_letter
from riskcast.jobs.notify import notify, tell
from riskcast.lake.memory import MemoryLake
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.products import PRODUCTS
from riskcast.tables import gold, output

PRODUCT = next(iter(PRODUCTS.values()))
LAST = datetime(2018, 12, 31, 21, 15, tzinfo=UTC)


def day(n):
    return LAST + timedelta(days=n)


def finding(verdict, at, check="skill", subject="champion.qlike"):
    return Finding(check, subject, at, 0.5, 0.4, verdict, "0.5 over 63 sessions")


@pytest.fixture
def inbox():
    with smtp_server() as inbox:
        yield inbox


@pytest.fixture
def run(inbox, tmp_path):
    lake = MemoryLake()
    lake.write(gold.FEATURES_DAILY, feature_rows(), EVER)
    settings = Settings(
        home=str(tmp_path),
        mail_host="127.0.0.1",
        mail_port=str(inbox.port),
        mail_tls="none",
        mail_to="desk@example.org",
    )

    def once(*findings, at=LAST):
        nothing = (lake.read(t) for t in (output.PREDICTIONS_DAILY, gold.LABELS_DAILY))
        health = health_rows(PRODUCT.name, findings)
        notify(
            health,
            *nothing,
            settings=settings,
            lake=lake,
            window=Window(at - timedelta(hours=20), at),
            product=PRODUCT,
        )
        return [message["Subject"] for _, _, _, message in inbox.mails]

    once.settings, once.lake, once.inbox = settings, lake, inbox
    return once


def test_an_alarm_is_told_once_and_its_end_once(run):
    assert len(run(finding("alarm", day(0)))) == 1
    assert len(run(finding("alarm", day(0)))) == 1  # the same run again
    assert len(run(finding("alarm", day(1)), at=day(1))) == 1  # it lasts
    told = run(finding("ok", day(2)), at=day(2))
    assert len(told) == 2
    assert told[1].startswith("Resolved: skill")
    assert len(run(finding("ok", day(3)), at=day(3))) == 2
    assert len(run(finding("alarm", day(4)), at=day(4))) == 3  # it began anew


def test_a_request_to_retrain_is_told_once_and_never_resolved(run):
    asked = finding("alarm", day(0), "retrain", "all")
    assert len(run(asked, finding("ok", day(0)))) == 1
    assert len(run(asked, finding("ok", day(0)))) == 1
    assert len(run(finding("ok", day(1)), at=day(1))) == 1


def test_nothing_is_sent_when_nothing_is_wrong(run):
    assert run(finding("ok", day(0))) == []


def test_a_backfill_sends_nothing(run):
    early = LAST - timedelta(days=20)
    assert run(finding("alarm", early), at=early) == []


def test_drift_of_one_series_is_no_mail_but_of_the_family_is(run):
    one = finding("alarm", day(0), "drift", "tv5")
    assert run(one, finding("warn", day(0), "drift", "all")) == []
    assert len(run(one, finding("alarm", day(0), "drift", "all"))) == 1


def test_the_decision_is_subject_and_first_line_and_a_name_cannot_inject(inbox):
    row = {
        "product": "p", "action": "promote", "model_version": "7", "previous": None,
        "who": "<script>alert(1)</script>", "why": "beats the champion", "at": LAST,
    }  # fmt: skip
    letter = deployment_letter(row)
    mail = letter.mail()
    assert mail.text.splitlines()[0] == mail.subject == letter.decision
    assert "<script>" not in letter.page()


def test_the_failure_mail_names_the_command_to_try_again():
    letter = failure_letter("market_daily", "labels", "Traceback\nValueError: no", "--start 2018")
    assert "riskcast run market_daily labels --start 2018" in letter.mail().text
    assert "ValueError: no" in letter.mail().text


def test_health_rows_are_what_the_table_declares():
    lake = MemoryLake()
    lake.write(output.HEALTH, health_rows(PRODUCT.name, [finding("ok", LAST)]), EVER)
    assert lake.read(output.HEALTH).height == 1
    assert lake.read(output.HEALTH).filter(pl.col("verdict") == "ok").height == 1


def alert(run, name):
    run.settings.alerts_path.mkdir(exist_ok=True)
    said = {
        "kind": "drift", "at": "2018-12-31T22:00:00Z", "client": "desk", "product": PRODUCT.name,
        "note": "before the committee", "threshold": 0.3, "drift_score": 0.5,
        "drifted_features": ["tv5"],
    }  # fmt: skip
    (run.settings.alerts_path / f"{name}.json").write_text(json.dumps(said))


def test_an_alert_asked_for_through_the_api_is_sent_once_and_removed(run):
    alert(run, "drift-1")
    assert len(run()) == 1
    assert list(run.settings.alerts_path.iterdir()) == []
    assert "before the committee" in run.inbox.mails[0][3].get_body(("plain",)).get_content()
    alert(run, "drift-1")  # killed after it was sent, before it was removed
    assert len(run()) == 1
    assert list(run.settings.alerts_path.iterdir()) == []


def test_an_alarm_links_the_page_of_its_session_and_carries_the_verdicts(run):
    run.settings.reports_path.mkdir()
    (run.settings.reports_path / f"{PRODUCT.name}-2018-12-31.html").write_text("page")
    run(finding("alarm", day(0)))
    message = run.inbox.mails[0][3]
    link = f"{run.settings.door}/reports/{PRODUCT.name}-2018-12-31.html"
    assert link in message.get_body(("plain",)).get_content()
    assert link in message.get_body(("html",)).get_content()
    (attached,) = message.iter_attachments()
    assert "0.5 over 63 sessions" in attached.get_content()


def test_without_a_page_no_link_leads_nowhere(run):
    run(finding("alarm", day(0)))
    assert "/reports/" not in run.inbox.mails[0][3].get_body(("plain",)).get_content()


def deployed(run, event, action, at):
    row = {
        "event_id": event, "at": at, "product": PRODUCT.name, "action": action,
        "model_version": "2", "previous": "1", "who": "train", "why": "passed", "known_at": at,
        "source": "rollout",
    }  # fmt: skip
    frame = pl.DataFrame([row], schema_overrides=dict.fromkeys(
        ("at", "known_at"), pl.Datetime("us", "UTC")))  # fmt: skip
    run.lake.write(output.DEPLOYMENTS, frame, Window(at - timedelta(days=1), at))


def test_a_deployment_is_told_once_though_the_sample_s_clock_stands_in_the_past(run):
    deployed(run, "old", "promote", wall() - timedelta(days=30))
    deployed(run, "new", "promote", wall())
    assert run() == run() == [f"No action needed: version 2 serves {PRODUCT.name}"]


def test_the_steps_of_a_rollout_are_no_mails_but_its_end_is(run):
    for n, action in enumerate(("canary", "canary", "flip", "promote")):
        deployed(run, f"{action}{n}", action, wall() - timedelta(minutes=9 - n))
    assert run() == ["No action needed: version 2 serves daily_risk"]


def test_a_saturday_s_deployment_is_told_on_tuesday_where_monday_is_a_holiday(run):
    deployed(run, "saturday", "promote", wall() - timedelta(days=3, hours=16))
    assert run() == ["No action needed: version 2 serves daily_risk"]


def test_a_refused_candidate_is_told_once_with_its_reason_and_a_promoted_one_is_not(run):
    rows = pl.DataFrame(
        {
            "product": PRODUCT.name, "as_of": LAST, "recipe": ["a", "b"],
            "verdict": ["refuse", "promote"], "reason": ["QLIKE 3% worse", "better"],
            "figures": '{"qlike": 0.3}',
        }
    )  # fmt: skip
    window = Window(LAST - timedelta(days=1), LAST)
    for _ in range(2):
        tell(rows, settings=run.settings, lake=run.lake, window=window, product=PRODUCT)
    ((_, _, _, message),) = run.inbox.mails
    assert "kept its champion" in message["Subject"]
    assert "QLIKE 3% worse" in message.get_body(("plain",)).get_content()
    later = Window(LAST, LAST + timedelta(days=1))
    tell(rows, settings=run.settings, lake=run.lake, window=later, product=PRODUCT)
    assert len(run.inbox.mails) == 1
