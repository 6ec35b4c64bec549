"""The cluster: made whole or not at all, and never apart from its passwords."""

import os
import shutil
import stat

import pytest

from riskcast.core.errors import StackError
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout
from riskcast.standalone.secrets import secret, write_private

pytestmark = pytest.mark.stack


@pytest.fixture
def layout(tmp_path):
    found = Layout(tmp_path / "home")
    found.make()
    yield found
    found.remove_sockets()


def test_a_start_that_was_killed_while_making_the_cluster_is_made_good(layout):
    half = layout.home / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    postgres.prepare(layout, lambda _: None)
    assert not half.exists()
    made = (postgres.data(layout) / "pg_hba.conf").read_text()
    assert made == "local all all scram-sha-256\n"
    before = (postgres.data(layout) / "global" / "pg_control").stat().st_mtime_ns
    postgres.prepare(layout, lambda _: None)
    assert (postgres.data(layout) / "global" / "pg_control").stat().st_mtime_ns == before
    (layout.keys / "postgres-mlflow").unlink()
    with pytest.raises(StackError, match="no passwords of mlflow"):
        postgres.prepare(layout, lambda _: None)


def test_a_refusal_of_postgresql_is_named_and_shows_no_password(layout):
    (layout.home / "keys" / "postgres").write_text("it's quoted badly")
    with pytest.raises(StackError, match="ERROR") as refused:
        postgres.prepare(layout, lambda _: None)
    assert "quoted badly" not in str(refused.value)
    assert not postgres.data(layout).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives an account a way into its folders")
def test_under_root_the_account_gets_search_on_private_folders_and_no_more(tmp_path):
    private = tmp_path / "private"
    (private / "inside").mkdir(parents=True, mode=0o700)
    private.chmod(0o700)
    told = []
    postgres.grant_search(private / "inside", postgres.account(), told.append)
    assert stat.S_IMODE(private.stat().st_mode) == 0o701
    assert any(str(private) in line for line in told)
    told.clear()
    postgres.grant_search(private / "inside", postgres.account(), told.append)
    assert told == []


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path):
    folder = tmp_path / "keys"
    first = secret(folder, "redis")
    assert secret(folder, "redis") == first
    assert secret(folder, "other") != first
    assert len(first) >= 32
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "redis").stat().st_mode) == 0o600


def test_a_private_file_that_was_opened_up_is_closed_again(tmp_path):
    path = tmp_path / "conf"
    assert write_private(path, "text")
    path.chmod(0o644)
    assert not write_private(path, "text")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["conf"]


def test_a_missing_wheel_is_named(monkeypatch):
    from riskcast.standalone.layout import wheel

    with pytest.raises(StackError, match="no_such_server is missing"):
        wheel("no_such_server")
    assert shutil.which(str(postgres.binaries() / "initdb"))
