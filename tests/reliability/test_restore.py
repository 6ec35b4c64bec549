"""The restore drill: the backup of a running stack serves the same forecast elsewhere."""

import json
import os
import subprocess
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from tests.standalone.ports import port_settings

from riskcast.core.settings import PREFIX, Settings
from riskcast.lake import open_lake, snapshot
from riskcast.standalone.archive import examine
from riskcast.tables import TABLES

pytestmark = [pytest.mark.stack, pytest.mark.slow]
PROGRAM = str(Path(sys.executable).with_name("riskcast"))
RTO_SECONDS = 15 * 60
OF_THE_ANSWER = ("request_id",)  # all that two answers to one question may differ in


def run(settings: Settings, *arguments: str) -> str:
    given = {PREFIX + f.name.upper(): getattr(settings, f.name) for f in fields(Settings)}
    done = subprocess.run(
        [sys.executable, PROGRAM, *arguments],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def forecast(settings: Settings) -> dict:
    key = (settings.keys_path / "api.key").read_text().strip()
    url = f"http://127.0.0.1:{settings.api_port}/predict"
    until = time.monotonic() + 300
    while True:
        answer = httpx.post(url, json={}, headers={"X-API-Key": key}, timeout=30)
        if answer.status_code == 200:
            return {k: v for k, v in answer.json().items() if k not in OF_THE_ANSWER}
        assert time.monotonic() < until, answer.text
        time.sleep(0.5)


@pytest.fixture
def folder():
    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as made:
        yield Path(made)


def test_the_backup_of_a_running_stack_serves_the_same_forecast_from_an_empty_home(folder):
    old = Settings(home=str(folder / "old"), **port_settings())
    new = Settings(home=str(folder / "new"), **port_settings())
    try:
        run(old, "quickstart")
        drill(old, new, folder)
    finally:
        run(old, "down")


def drill(old: Settings, new: Settings, folder: Path) -> None:
    """Back the running stack up, stop it, restore it elsewhere and ask the same again."""
    try:
        before = forecast(old)
        taken = time.monotonic()
        path, digest = run(old, "backup", "--to", str(folder / "kept")).split("\n")[:2]
        took = time.monotonic() - taken
        assert forecast(old) == before, "the stack went on serving"
    finally:
        run(old, "down")
    manifest, again = examine(Path(path))
    assert digest == f"sha256 {again}"
    run_ended = max(commit.at for commit in commits(old))
    try:
        began = time.monotonic()
        run(new, "restore", path, "--sha256", again)
        run(new, "up")
        after = forecast(new)
        rto = time.monotonic() - began
        status = json.loads(run(new, "status", "--json"))
    finally:
        run(new, "down")
    assert after | {"slot": before["slot"]} == before, "either colour may answer"
    assert status["state"] == "running"
    for name, wanted in manifest.tables.items():
        assert snapshot.content(open_lake(new), TABLES[name], wanted.version) == wanted
    made_at = datetime.fromisoformat(manifest.made_at)
    rpo = max(0.0, (run_ended - made_at).total_seconds())
    print(  # noqa: T201
        f"backup {took:.1f} s, {Path(path).stat().st_size / 1e6:.1f} MB; "
        f"RTO {rto:.0f} s (limit {RTO_SECONDS}); commits lost: the last {rpo:.0f} s; "
        f"{len(manifest.tables)} tables with equal hashes"
    )
    assert rto <= RTO_SECONDS
    assert made_at > datetime.fromtimestamp(0, UTC)
    assert rpo == 0, "every run that had ended before the backup is in it"


def commits(settings: Settings):
    lake = open_lake(settings)
    return [commit for table in TABLES.values() for commit in lake.history(table)]
