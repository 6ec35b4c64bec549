"""The demo closes the loop: drift is found, answered and mailed, in a home of its own."""

import mailbox
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from typer.testing import CliRunner

from riskcast.cli import app
from riskcast.core.settings import Settings
from riskcast.lake import open_lake
from riskcast.tables.output import DECISIONS, DEPLOYMENTS, HEALTH

pytestmark = pytest.mark.slow


def test_drift_is_found_answered_and_mailed_in_a_home_of_its_own(tmp_path):
    home = tmp_path / "demo"
    result = CliRunner().invoke(app, ["demo", "drift", "--home", str(home)])
    assert result.exit_code == 0, result.exception
    lake = open_lake(Settings(home=str(home)))
    assert lake.read(HEALTH).filter(check="retrain").height == 1
    assert lake.read(DECISIONS).height == 2
    promoted = lake.read(DEPLOYMENTS).filter(pl.col("action") == "promote").height
    subjects = [mail["Subject"].strip() for mail in mailbox.Maildir(home / "inbox")]
    assert sum(s.startswith("Await the retraining") for s in subjects) == 1
    kept = sum("kept its champion" in s for s in subjects)
    assert promoted + kept == 2  # the first champion, then its successor or the reason for none
    assert str(home / "reports" / "index.html") in result.stdout.replace("\n", "")


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    result = CliRunner().invoke(app, ["demo", "drift", "--home", str(tmp_path)])
    assert "is not empty" in str(result.exception)
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.stack
def test_on_servers_of_its_own_the_event_of_drift_starts_the_training():
    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as folder:
        home = Path(folder) / "demo"
        try:
            run("demo", "drift", "--stack", "--home", str(home))
            lake = open_lake(Settings(home=str(home)))
            assert lake.read(HEALTH).filter(check="retrain").height == 1
            # Nobody asks for the second training: the event does.
            assert lake.read(DECISIONS).height == 2
            promoted = lake.read(DEPLOYMENTS).filter(pl.col("action") == "promote").height
            subjects = [mail["Subject"].strip() for mail in mailbox.Maildir(home / "inbox")]
            assert sum(s.startswith("Await the retraining") for s in subjects) == 1
            assert promoted + sum("kept its champion" in s for s in subjects) == 2
            assert sum("serves daily_risk" in s for s in subjects) == promoted
            assert not [s for s in subjects if "canary" in s or "flip" in s]
        finally:
            run("down", RISKCAST_HOME=str(home))


def run(*words: str, **environment: str) -> None:
    program = str(Path(sys.executable).with_name("riskcast"))
    done = subprocess.run(
        [program, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
