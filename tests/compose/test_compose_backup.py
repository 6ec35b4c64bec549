"""A backup of the compose project: what goes through the pipe of the container with the volumes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from riskcast.core.errors import BackupError, BackupRefused
from riskcast.core.settings import Settings
from riskcast.lake import open_lake, snapshot
from riskcast.lake.snapshot import Content
from riskcast.online.store import FeastFeatures
from riskcast.standalone import compose, compose_backup
from riskcast.standalone.archive import FORMAT, MANIFEST, Manifest, Writer, members
from riskcast.tables import TABLES, gold, output

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from project import PROJECT, SERVICES
from serving_world import EVER, published, rows

NAME = "COMPOSE_PROJECT_NAME"
MADE_AT = "2026-01-02T00:00:00+00:00"


def keeper(settings: Settings, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "riskcast.standalone.keeper", *arguments],
        input=given,
        capture_output=True,
        env=os.environ | {"RISKCAST_HOME": settings.home},
    )


def taken(ran: subprocess.CompletedProcess) -> tuple[dict[str, bytes], dict]:
    assert ran.returncode == 0, ran.stderr.decode()
    found = {member.name: content.read() for member, content in members(io.BytesIO(ran.stdout))}
    return found, json.loads(found.pop(MANIFEST))


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Settings:
    settings = Settings(home=str(tmp_path_factory.mktemp("old")))
    lake = open_lake(settings)
    lake.write(gold.FEATURES_DAILY, rows(), EVER)
    lake.write(output.PREDICTIONS_DAILY, published(), EVER)
    for name, text in {
        "spool/blue/s.jsonl": '{"an": "answer"}\n', "spool/blue/s.draft": "half",
        "reports/drift.html": "<h1>Drift</h1>", "inbox/1.eml": "To: desk",
        "mlflow-artifacts/1/model.json": '{"kind": "pool"}',
    }.items():  # fmt: skip
        path = settings.home_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return settings


@pytest.fixture(scope="module")
def sent(old) -> dict[str, bytes]:
    """Everything the keeper gives out, as the backup it is made into."""
    answers, chosen = taken(keeper(old, "pin"))
    assert list(answers) == ["files/spool/blue/s.jsonl"], "drafts are nobody's answers"
    files, contents = taken(keeper(old, "files", json.dumps(chosen["pins"])))
    assert sorted(contents) == sorted(chosen["pins"]) == ["features_daily", "predictions_daily"]
    return answers | files | {MANIFEST: json.dumps(contents).encode()}


def backup_of(sent: dict[str, bytes], **altered: bytes) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for name, content in sent.items():
        if name != MANIFEST:
            writer.add(name, io.BytesIO(content), len(content))
    tables = {name: Content(**each) for name, each in json.loads(sent[MANIFEST]).items()}
    writer.close(Manifest(FORMAT, MADE_AT, {}, False, tables, writer.members).to_json())
    return out.getvalue()


def test_what_the_keeper_takes_it_puts_back_into_empty_volumes(old, sent, tmp_path):
    new = Settings(home=str(tmp_path / "new"))
    put = keeper(new, "put", given=backup_of(sent))
    assert put.returncode == 0, put.stderr.decode()
    for name, content in sent.items():
        if name.startswith("files/"):
            assert (new.home_path / name.removeprefix("files/")).read_bytes() == content
    assert (new.home_path / "mlflow-artifacts/1/model.json").exists()
    for name in json.loads(sent[MANIFEST]):
        one, other = (snapshot.content(open_lake(s), TABLES[name], 0) for s in (old, new))
        assert one == other
    assert len(list(Path(new.published_root).glob("predictions_daily_*.parquet"))) > 30
    assert FeastFeatures(new).latest("GSPC").session.isoformat() == "2018-12-31"


def test_the_keeper_leaves_a_lake_with_anything_in_it_as_it_is(old, sent):
    before = snapshot.pin(open_lake(old))
    refused = keeper(old, "put", given=backup_of(sent))
    assert refused.returncode == 1 and b"is not empty" in refused.stderr
    assert snapshot.pin(open_lake(old)) == before


@pytest.mark.parametrize("part", [1.0, 0.5, 0.0])
def test_what_arrives_cut_off_is_not_taken_for_a_restore(sent, tmp_path, part):
    whole = backup_of(sent)
    cut = whole[: int(part * whole.rindex(b"}"))]
    refused = keeper(Settings(home=str(tmp_path)), "put", given=cut)
    assert refused.returncode == 1 and b"backup-refused" in refused.stderr


def test_a_table_that_is_not_what_it_was_is_named(sent, tmp_path):
    said = json.loads(sent[MANIFEST])
    said["features_daily"]["rows"] += 1
    wrong = keeper(
        Settings(home=str(tmp_path)),
        "put",
        given=backup_of(sent | {MANIFEST: json.dumps(said).encode()}),
    )
    assert wrong.returncode == 1 and b"features_daily came back as" in wrong.stderr


def test_the_keeper_has_every_volume_that_a_backup_is_made_of_and_starts_with_no_stack():
    mounted = dict(each.split(":") for each in SERVICES["keeper"]["volumes"])
    # Made anew, or logs: models' colours, features online, who asked for what, Airflow's logs.
    left_out = {"postgres", "redis", "airflow", "routing", "access-log"}
    assert set(mounted) == set(PROJECT["volumes"]) - left_out
    inside = {path: name for name, path in mounted.items()}
    for service in ("runner", "mlflow", "inbox", "model-blue"):
        for volume in SERVICES[service]["volumes"]:
            name, path = volume.split(":")[:2]
            assert name in left_out or inside[path] == name
    assert SERVICES["keeper"]["profiles"] == ["keeper"]
    # Docker would write its output, the whole backup, to its own log as well.
    assert SERVICES["keeper"]["logging"] == {"driver": "none"}


# What is refused before anything is touched.


@pytest.fixture
def project(monkeypatch, tmp_path):
    """A project that Docker knows nothing of, with its secrets."""
    monkeypatch.setattr(compose, "secrets_folder", lambda: tmp_path / "secrets")
    monkeypatch.setattr(compose, "container_states", dict)
    monkeypatch.setattr(compose, "volumes", list)
    return compose.make_secrets(Settings(home=str(tmp_path)), tmp_path / "secrets")


def archive(path: Path, keys: dict[str, bytes], *, with_keys: bool) -> Path:
    with path.open("wb") as file:
        writer = Writer(file)
        for name, content in keys.items():
            writer.add(f"keys/{name}", io.BytesIO(content), len(content))
        writer.close(Manifest(FORMAT, MADE_AT, {}, with_keys, {}, writer.members).to_json())
    return path


def untouched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("asked", "answer", "says"),
    [
        ("container_states", {"redis": "healthy"}, "has containers.*redis"),
        ("volumes", ["riskcast_lake"], "not empty, it has riskcast_lake"),
    ],
)
def test_a_project_with_anything_in_it_is_left_as_it_is(
    project, monkeypatch, tmp_path, asked, answer, says
):
    monkeypatch.setattr(compose, asked, lambda: answer)
    path, before = archive(tmp_path / "b.tar", {}, with_keys=False), untouched(project)
    with pytest.raises(BackupRefused, match=says):
        compose_backup.restore(Settings(home=str(tmp_path)), str(path), tell=str)
    assert untouched(project) == before


def test_only_what_its_own_unfinished_restore_left_is_removed(project, monkeypatch, tmp_path):
    """Two projects of one checkout: the restore of one was killed, the other holds data."""
    path = archive(tmp_path / "b.tar", {}, with_keys=False)
    removed: list[str] = []
    monkeypatch.setattr(
        compose, "compose_down", lambda *, volumes=False: removed.append(os.environ[NAME])
    )
    monkeypatch.setenv(NAME, "killed")
    monkeypatch.setattr(compose, "volumes", lambda: ["some_lake"])
    compose.restoring().write_text("{}")
    monkeypatch.setenv(NAME, "serving")
    with pytest.raises(BackupRefused, match="not empty"):
        compose_backup.restore(Settings(home=str(tmp_path)), str(path), tell=str)
    assert removed == []
    monkeypatch.setenv(NAME, "killed")
    with pytest.raises(BackupRefused, match="not empty"):
        compose_backup.restore(Settings(home=str(tmp_path)), str(path), tell=str)
    assert removed == ["killed"]


def test_secrets_of_another_project_are_never_written_over(project, tmp_path):
    path = archive(tmp_path / "b.tar", {"redis": b"another"}, with_keys=True)
    before = untouched(project)
    with pytest.raises(BackupRefused, match="other secrets than the backup: redis"):
        compose_backup.restore(Settings(home=str(tmp_path)), str(path), tell=str)
    assert untouched(project) == before


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_what_the_keeper_dies_of_is_told_not_that_its_pipe_broke(monkeypatch, tmp_path, size):
    dying = "import sys; sys.exit('backup: no room on the disk')"
    monkeypatch.setattr(compose, "_program", lambda: (sys.executable, "-c", dying))
    path = tmp_path / "b.tar"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.add("lake/x", io.BytesIO(bytes(size)), size)
        manifest = Manifest(FORMAT, MADE_AT, {}, False, {}, writer.members)
        writer.close(manifest.to_json())
    with pytest.raises(BackupError, match="could not put: backup: no room on the disk"):
        compose_backup._send(path, manifest)
    with path.open("wb") as file, pytest.raises(BackupError, match=r"could not pin.*no room"):
        compose_backup._taken(Writer(file), "pin")
