"""Mails sent to the inbox can be read there, and none of them can do anything."""

import mailbox
import os
import smtplib
import socket
import subprocess
import sys
import time
from email.message import EmailMessage

import httpx
import pytest

from riskcast.inbox import mails

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "keys").mkdir()
    (home / "keys" / "console").write_text("secret\n")
    smtp, page = free_port(), free_port()
    environment = {
        **os.environ,
        "RISKCAST_HOME": str(home),
        "RISKCAST_SMTP_PORT": str(smtp),
        "RISKCAST_INBOX_PORT": str(page),
    }
    process = subprocess.Popen([sys.executable, "-m", "riskcast.inbox"], env=environment)
    url = f"http://127.0.0.1:{page}"
    until = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                break
        except httpx.HTTPError:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.1)
    yield {"home": home, "smtp": smtp, "url": url}
    process.terminate()
    process.wait(10)


@pytest.fixture
def client(inbox):
    with httpx.Client(base_url=inbox["url"], auth=("admin", "secret"), trust_env=False) as client:
        yield client


def mail(subject="Drift in vix", html="<p>alarm <img src='cid:plot'></p>", name="report.html"):
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "a@example.com", "b@example.com"
    message["Date"] = "Mon, 31 Dec 2018 16:15:00 -0500"
    message.set_content("Retrain: vix drifted.\nmore")
    message.add_alternative(html, subtype="html")
    message.get_payload()[1].add_related(PNG, "image", "png", cid="<plot>")
    message.add_attachment(b"<h1>report</h1>", maintype="text", subtype="html", filename=name)
    return message


def deliver(inbox, message):
    with smtplib.SMTP("127.0.0.1", inbox["smtp"], timeout=10) as server:
        server.send_message(message)


def key_of(inbox, subject):
    return next(h.key for h in mails.heads(inbox["home"] / "inbox") if h.subject == subject)


def test_a_mail_is_listed_with_its_first_line_and_instant(inbox, client):
    deliver(inbox, mail("Listed"))
    text = client.get("/").text
    assert "Listed" in text and "Retrain: vix drifted." in text
    assert "2018-12-31 21:15 UTC" in text


def test_an_opened_mail_shows_text_attachment_and_html_with_its_images_inside(inbox, client):
    deliver(inbox, mail("Opened"))
    key = key_of(inbox, "Opened")
    text = client.get(f"/mail/{key}").text
    assert "report.html" in text and "<iframe sandbox" in text
    html = client.get(f"/mail/{key}/html")
    assert "data:image/png;base64," in html.text and "cid:" not in html.text
    got = client.get(f"/mail/{key}/attachment/0")
    assert got.content == b"<h1>report</h1>"
    assert got.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert got.headers["content-type"] == "application/octet-stream"


def test_script_in_a_mail_is_shown_where_nothing_runs(inbox, client):
    deliver(inbox, mail("<script>alert(1)</script>", html="<script>alert(2)</script>"))
    key = key_of(inbox, "<script>alert(1)</script>")
    assert "<script>alert(1)" not in client.get("/").text
    policy = client.get(f"/mail/{key}/html").headers["content-security-policy"]
    assert "sandbox" in policy and "default-src 'none'" in policy


def test_a_file_name_cannot_leave_its_header_or_its_folder(inbox, client):
    deliver(inbox, mail("Named", name='../../x"; filename="evil.exe'))
    got = client.get(f"/mail/{key_of(inbox, 'Named')}/attachment/0")
    said = got.headers["content-disposition"]
    assert said.count("filename=") == 1 and ".." not in said.replace("._", "")


@pytest.mark.parametrize("auth", [None, ("admin", "wrong"), ("other", "secret")])
@pytest.mark.parametrize("path", ["/", "/mail/x", "/mail/x/html", "/mail/x/attachment/0"])
def test_every_page_wants_the_password(inbox, path, auth):
    assert httpx.get(inbox["url"] + path, auth=auth, trust_env=False).status_code == 401


@pytest.mark.parametrize("key", ["nobody", "..%2f..%2fkeys%2fconsole", "%2e%2e"])
def test_a_mail_that_is_not_there_is_a_404(client, key):
    assert client.get(f"/mail/{key}").status_code == 404


def test_a_mail_that_breaks_the_rules_does_not_break_the_list(inbox, client):
    raw = (
        b"Subject: =?x-nobody?B?////?=\r\nDate: never\r\n"
        b"Content-Type: text/plain; charset=none\r\n\r\n\xff\xfe"
    )
    with smtplib.SMTP("127.0.0.1", inbox["smtp"], timeout=10) as server:
        server.sendmail("a@example.com", ["b@example.com"], raw)
    assert client.get("/").status_code == 200


def test_without_a_password_it_does_not_start(tmp_path):
    environment = {**os.environ, "RISKCAST_HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-m", "riskcast.inbox"], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 1 and "riskcast up" in ran.stderr


def test_the_list_shows_what_a_mail_says_beyond_its_subject(tmp_path):
    message = EmailMessage()
    message["Subject"], message["Date"] = "Retrain", "Mon, 31 Dec 2018 16:15:00 -0500"
    message.set_content("Retrain\n\nvix left its past.\n")
    mailbox.Maildir(tmp_path / "inbox").add(message)
    (head,) = mails.heads(tmp_path / "inbox")
    assert head.first_line == "vix left its past."
