"""What passes for a backup: a whole, unaltered file of the format, and nothing else."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.core.errors import BackupError, BackupRefused
from riskcast.standalone.archive import FORMAT, MANIFEST, Manifest, Writer, examine, unpack, written

MEMBERS = {"lake/gold/t/a.parquet": b"rows" * 500, "files/reports/a.html": b"<h1>", "keys/k": b""}
SLOW = """
import sys, time, pathlib
from riskcast.standalone.archive import Manifest, Writer, written
class Slow:
    def read(self, size):
        print("reading", flush=True)
        time.sleep(0.01)
        return b"x" * size
with written(pathlib.Path(sys.argv[1])) as file:
    writer = Writer(file)
    for n in range(200):
        writer.add(f"lake/{n}", Slow(), 30_000)
    writer.close(Manifest(1, "now", {}, False, {}, writer.members).to_json())
"""


def manifest(members):
    return Manifest(FORMAT, "2026-01-02T00:00:00+00:00", {"riskcast": "1"}, False, {}, members)


def made(path, members=MEMBERS):
    with written(path) as file:
        writer = Writer(file)
        for name, content in members.items():
            writer.add(name, io.BytesIO(content), len(content))
        return writer.close(manifest(writer.members).to_json())


def tar(path, entries):
    """Write any tar: entries are (name, content) or TarInfo."""
    with tarfile.open(path, "w") as file:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
                continue
            member = tarfile.TarInfo(entry[0])
            member.size = len(entry[1])
            file.addfile(member, io.BytesIO(entry[1]))
    return path


def test_what_was_put_in_comes_out_and_the_manifest_has_one_digest(tmp_path):
    digest = made(tmp_path / "b.tar")
    _, again = examine(tmp_path / "b.tar")
    assert again == digest
    out = {}

    class Kept(io.BytesIO):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def close(self):
            out[self.name] = self.getvalue()

    unpack(tmp_path / "b.tar", again, Kept)
    assert out == MEMBERS
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600


@given(st.data())
def test_any_flipped_byte_is_refused_or_changes_nothing_that_is_put_back(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "b.tar"
    digest = made(path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found, again = examine(path)
    except BackupRefused:
        return
    # What is left: padding, times and modes of the tar, which are never used, and the manifest's
    # own words, which its digest tells.
    assert list(found.members) == list(MEMBERS)
    assert again == digest or found != manifest(found.members)


@given(st.data())
def test_a_backup_cut_anywhere_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "b.tar"
    made(path)
    whole = path.read_bytes()
    end = whole.rindex(b"}") + 1
    path.write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    with pytest.raises(BackupRefused):
        examine(path)


@pytest.mark.parametrize(
    "name",
    ["../etc/passwd", "/etc/passwd", "lake/../../x", "lake", "other/x", "keys//x", "lake/./x",
     "lake\\..\\x", "keys/.."],
)  # fmt: skip
def test_a_name_that_leaves_its_folder_is_refused(tmp_path, name):
    with pytest.raises(BackupRefused, match="no name in a backup"):
        examine(tar(tmp_path / "b.tar", [(name, b"x")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    link = tarfile.TarInfo("lake/x")
    link.type, link.linkname = kind, "/etc/passwd"
    with pytest.raises(BackupRefused, match="no plain file"):
        examine(tar(tmp_path / "b.tar", [link]))


def test_members_beside_the_manifest_twice_or_behind_it_are_refused(tmp_path):
    good = manifest({}).to_json()
    for entries, says in (
        ([("lake/x", b"x"), (MANIFEST, good)], "does not match"),
        ([("lake/x", b"x"), ("lake/x", b"x"), (MANIFEST, good)], "twice"),
        ([(MANIFEST, good), ("lake/x", b"x")], "behind"),
        ([("lake/x", b"x")], "no manifest"),
        ([(MANIFEST, manifest({"lake/gone": "0"}).to_json())], "does not match"),
    ):
        with pytest.raises(BackupRefused, match=says):
            examine(tar(tmp_path / "b.tar", entries))


@pytest.mark.parametrize("text", [b"{}", b"[]", b"no json", b'{"format": 1, "tables": 3}'])
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(BackupRefused):
        examine(tar(tmp_path / "b.tar", [(MANIFEST, text)]))


def test_a_newer_format_names_the_release_that_reads_it(tmp_path):
    said = json.loads(manifest({}).to_json()) | {"format": FORMAT + 1}
    with pytest.raises(BackupRefused, match=f"format {FORMAT + 1}.*riskcast"):
        examine(tar(tmp_path / "b.tar", [(MANIFEST, json.dumps(said).encode())]))


def test_what_is_no_tar_or_not_there_is_refused(tmp_path):
    (tmp_path / "b.tar").write_bytes(os.urandom(4096))
    for name in ("b.tar", "nothing.tar"):
        with pytest.raises(BackupRefused):
            examine(tmp_path / name)


def test_a_file_that_shrinks_while_it_is_read_makes_no_backup(tmp_path):
    with pytest.raises(BackupError, match="lake/x"), written(tmp_path / "b.tar") as file:
        Writer(file).add("lake/x", io.BytesIO(b"short"), 100)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_killed_anywhere_leaves_no_file_of_its_name(tmp_path):
    for n in range(4):
        path = tmp_path / f"{n}.tar"
        with subprocess.Popen(
            [sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE
        ) as run:
            for _ in range(1 + 40 * n):
                run.stdout.readline()
            time.sleep(0.002 * n)
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
        assert not path.exists()
        drafts = list(tmp_path.glob(f".{path.name}.*.draft"))
        assert len(drafts) == 1
        with pytest.raises(BackupRefused):
            examine(drafts[0])
