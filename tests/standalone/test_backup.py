"""A running installation's backup, put back elsewhere: databases, models, tables, store."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import psycopg
import pytest
from tests.moto_aws import moto_aws
from tests.standalone.ports import port_settings

from riskcast.core.errors import BackupError, BackupRefused, StackError
from riskcast.core.settings import PREFIX, Settings
from riskcast.lake import open_lake, snapshot
from riskcast.online.store import FeastFeatures
from riskcast.registry import signature
from riskcast.standalone import connected, down, postgres, up
from riskcast.standalone.archive import examine
from riskcast.standalone.backup import backup, serving
from riskcast.standalone.layout import Layout
from riskcast.standalone.leftovers import remains
from riskcast.standalone.restore import restore, verify
from riskcast.tables import gold, output

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from serving_world import EVER, published, rows

pytestmark = pytest.mark.stack
SERVERS = ("postgres", "redis")
DIGEST = "0" * 64


def quiet(_text):
    pass


def sql(settings, role, *statements):
    layout = Layout.of(settings)
    with psycopg.connect(
        host=str(postgres.socket_folder(layout)),
        user=role,
        dbname=role,
        passfile=str(postgres.passfile(layout, role)),
        autocommit=True,
    ) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


@pytest.fixture(scope="module")
def old():
    """An installation with something of everything, its databases and Redis running."""
    from riskcast.standalone.configure import configure

    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as folder:
        yield from _running(Settings(home=f"{folder}/home", **port_settings()), configure)


def _running(settings, configure):
    layout = Layout.of(settings)
    layout.make()
    lake = open_lake(settings)
    lake.write(gold.FEATURES_DAILY, rows(), EVER)
    lake.write(output.PREDICTIONS_DAILY, published(), EVER)
    configure(settings, layout, quiet)
    model = layout.artifacts / "1" / "model.json"
    model.parent.mkdir(parents=True)
    model.write_text('{"kind": "pool"}')
    segment = settings.spool_path / "blue" / "s.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_text('{"an": "answer"}\n')
    (settings.spool_path / "blue" / "s.draft").write_text("half")
    (settings.reports_path / "drift.html").write_text("<h1>Drift</h1>")
    with serving(settings, SERVERS, quiet):
        sql(
            settings,
            "mlflow",
            "CREATE TABLE users (id int PRIMARY KEY, password_hash text)",
            "CREATE TABLE grants (user_id int REFERENCES users)",
            "CREATE TABLE model_versions (version int)",
            "INSERT INTO users VALUES (1, 'hash-of-a-password')",
            "INSERT INTO grants VALUES (1)",
            "INSERT INTO model_versions VALUES (7)",
        )
        sql(
            settings,
            "riskcast",
            "CREATE TABLE chunks (embedding vector(2))",
            "INSERT INTO chunks VALUES ('[1,2]')",
        )
        yield settings
    assert remains(layout) == []


@pytest.fixture
def new():
    with TemporaryDirectory(prefix="riskcast-") as folder:
        settings = Settings(home=f"{folder}/home", **port_settings())
        yield settings
        down(settings)
        assert remains(Layout.of(settings)) == []


def test_everything_a_stack_serves_from_comes_back_without_any_secret(old, new, tmp_path):
    before = signature.sign(old.keys_path, "daily_risk", DIGEST)
    made = backup(old, str(tmp_path / "kept"), with_keys=False, tell=quiet)
    path = Path(made.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    secrets = [file.read_bytes().strip() for file in Layout.of(old).keys.iterdir()]
    private = [text for text in secrets if b"PUBLIC" not in text]
    content = path.read_bytes()
    assert [text for text in private if text in content] == []
    done = restore(new, made.path, expected=made.digest, tell=quiet)
    assert done.manifest == made.manifest
    assert not Layout.of(new).restoring.exists()
    for name, wanted in made.manifest.tables.items():
        table = {t.name: t for t in (gold.FEATURES_DAILY, output.PREDICTIONS_DAILY)}[name]
        assert snapshot.content(open_lake(new), table, wanted.version) == wanted
    assert (new.home_path / "reports/drift.html").read_text() == "<h1>Drift</h1>"
    assert (new.home_path / "spool/blue/s.jsonl").exists()
    assert not (new.home_path / "spool/blue/s.draft").exists()
    assert (Layout.of(new).artifacts / "1" / "model.json").exists()
    assert len(list(Path(new.published_root).glob("predictions_daily_*.parquet"))) > 30
    with serving(new, SERVERS, quiet):
        assert sql(new, "mlflow", "SELECT version FROM model_versions") == [(7,)]
        assert sql(new, "mlflow", "SELECT * FROM users") == []
        assert sql(new, "mlflow", "SELECT * FROM grants") == []
        near = sql(new, "riskcast", "SELECT embedding <-> '[1,4]' FROM chunks")
        assert near == [(2.0,)]
        row = FeastFeatures(connected(new)).latest("GSPC")
    assert row.session.isoformat() == "2018-12-31"
    # Models signed before are still trusted, and so are those signed with the new key.
    after = signature.sign(new.keys_path, "daily_risk", DIGEST)
    assert after != before
    for given in (before, after):
        signature.check(new.model_key_path, "daily_risk", DIGEST, given)


@pytest.mark.slow
def test_with_keys_passwords_and_logins_are_what_they_were(old, new, tmp_path):
    made = backup(old, str(tmp_path / "kept"), with_keys=True, tell=quiet)
    restore(new, made.path, tell=quiet)
    keys, again = Layout.of(old).keys, Layout.of(new).keys
    for path in keys.iterdir():
        if not path.name.startswith("pgpass"):
            assert (again / path.name).read_bytes() == path.read_bytes()
            assert stat.S_IMODE((again / path.name).stat().st_mode) == 0o600
    with serving(new, SERVERS, quiet):
        assert sql(new, "mlflow", "SELECT * FROM users") == [(1, "hash-of-a-password")]


@pytest.mark.slow
def test_a_bucket_keeps_a_backup_and_gives_it_back(old, new, tmp_path):
    with moto_aws():
        boto3.client("s3").create_bucket(Bucket="kept")
        made = backup(old, "s3://kept/daily", with_keys=False, tell=quiet)
        assert made.path.startswith("s3://kept/daily/riskcast-")
        assert verify(made.path)[1] == made.digest
        # And the lake may lie in a bucket too.
        there = replace(new, lake="s3://kept/lake")
        restore(there, made.path, tell=quiet)
        assert snapshot.pin(open_lake(there)) == {n: 0 for n in made.manifest.tables}
        elsewhere = replace(new, home=str(tmp_path / "third"), lake="s3://kept/lake")
        with pytest.raises(BackupRefused, match="s3://kept/lake is not empty"):
            restore(elsewhere, made.path, tell=quiet)


def test_a_home_with_anything_in_it_is_left_as_it_is(old, tmp_path):
    made = backup(old, str(tmp_path / "b.tar"), with_keys=False, tell=quiet)
    with pytest.raises(BackupRefused, match="not empty"):
        restore(old, made.path, tell=quiet)
    home = tmp_path / "home"
    home.mkdir()
    (home / "notes.txt").write_text("mine")
    with pytest.raises(BackupRefused, match="not empty"):
        restore(Settings(home=str(home)), made.path, tell=quiet)
    assert [path.name for path in home.iterdir()] == ["notes.txt"]
    with pytest.raises(BackupRefused, match="exists"):
        backup(old, made.path, with_keys=False, tell=quiet)


def test_a_backup_that_is_not_the_one_expected_touches_nothing(old, tmp_path):
    made = backup(old, str(tmp_path / "b.tar"), with_keys=False, tell=quiet)
    home = tmp_path / "home"
    with pytest.raises(BackupRefused, match=made.digest):
        restore(Settings(home=str(home)), made.path, expected="0" * 64, tell=quiet)
    altered = bytearray(Path(made.path).read_bytes())
    altered[altered.index(b"PAR1") + 64] ^= 1
    Path(made.path).write_bytes(altered)
    with pytest.raises(BackupRefused, match="altered"):
        restore(Settings(home=str(home)), made.path, tell=quiet)
    assert not home.exists()


def test_nothing_is_backed_up_where_there_is_no_stack(tmp_path):
    with pytest.raises(BackupError, match="no whole stack"):
        backup(Settings(home=str(tmp_path)), str(tmp_path / "b"), with_keys=False, tell=quiet)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["lake", "postgres/PG_VERSION", "run/supervisord.conf"])
def test_a_restore_killed_anywhere_says_so_and_can_be_run_again(old, new, tmp_path, at):
    made = backup(old, str(tmp_path / "b.tar"), with_keys=False, tell=quiet)
    given = {PREFIX + n.upper(): getattr(new, n) for n in ("home", *port_settings())}
    program = str(Path(sys.executable).with_name("riskcast"))
    run = subprocess.Popen(
        [sys.executable, program, "restore", made.path],
        env=os.environ | given,
        stderr=subprocess.PIPE,
    )
    while not (new.home_path / at).exists():
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert json.loads(Layout.of(new).restoring.read_text())["backup"] == made.digest
    with pytest.raises(StackError, match="has not ended"):
        up(new)
    with pytest.raises(BackupError, match="no whole stack"):
        backup(new, str(tmp_path / "c.tar"), with_keys=False, tell=quiet)
    restore(new, made.path, tell=quiet)
    assert snapshot.pin(open_lake(new)) == {n: 0 for n in made.manifest.tables}
    assert not Layout.of(new).restoring.exists()
    examine(Path(made.path))
