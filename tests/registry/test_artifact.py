"""Sealed files: what is not exactly what was sealed is refused, and nothing is ever run."""

import gzip
import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcast.core.errors import ArtifactRefused
from riskcast.registry import artifact

FILES = {"model.json": b'{"kind": "pool"}', "booster.txt": b"tree\n"}
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}\.(json|txt)", fullmatch=True).filter(
    lambda name: name != artifact.MANIFEST
)


class Exploit:
    """Unpickling this leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def _laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@given(st.dictionaries(names, st.binary(max_size=200), min_size=1, max_size=5))
def test_what_was_sealed_comes_back_byte_for_byte(files):
    assert artifact.verify(artifact.seal(files)) == files


@given(st.dictionaries(names, st.binary(max_size=50), min_size=1, max_size=4), st.data())
def test_any_flipped_byte_is_refused_and_changes_the_digest(files, data):
    sealed = artifact.seal(files)
    name = data.draw(st.sampled_from(sorted(sealed)))
    if not sealed[name]:
        return
    at = data.draw(st.integers(0, len(sealed[name]) - 1))
    altered = bytearray(sealed[name])
    altered[at] ^= 1 << data.draw(st.integers(0, 7))
    broken = {**sealed, name: bytes(altered)}
    if name == artifact.MANIFEST:  # a rewritten manifest may verify; the recorded digest tells
        assert artifact.digest(broken) != artifact.digest(sealed)
    else:
        with pytest.raises(ArtifactRefused, match="altered"):
            artifact.verify(broken)


def test_equal_files_give_an_equal_digest_whatever_their_order():
    backwards = dict(reversed(FILES.items()))
    assert artifact.digest(artifact.seal(FILES)) == artifact.digest(artifact.seal(backwards))


def test_a_folder_verifies_like_its_files(tmp_path):
    assert artifact.verify(_laid_out(tmp_path / "data", artifact.seal(FILES))) == FILES


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pkl", b"\x80\x04."),
        ("model.joblib", b"\x80\x04."),
        ("model.json.gz", gzip.compress(b"{}", mtime=0)),
        ("MLmodel", b"flavors:\n  python_function:\n    loader_module: evil\n"),
        ("model.skops", b"PK\x03\x04"),
        ("model.npy", b"\x93NUMPY"),
        ("model.ubj", b"{"),
        ("evil.py", b"import os"),
        ("../model.json", b"{}"),
        ("..json", b"{}"),
        ("a/model.json", b"{}"),
        ("/etc/model.json", b"{}"),
        ("a\\b.json", b"{}"),
        ("model.json\n.txt", b"{}"),
        (".hidden.json", b"{}"),
        ("", b""),
        ("extra.json", b"{}"),
    ],
)
def test_a_file_that_is_not_declared_data_is_refused(name, content):
    with pytest.raises(ArtifactRefused):
        artifact.verify({**artifact.seal(FILES), name: content})


@pytest.mark.parametrize("name", ["model.pkl", "../model.json", "manifest.json", "a/b.txt"])
def test_what_could_not_be_verified_cannot_be_sealed(name):
    with pytest.raises(ArtifactRefused):
        artifact.seal({**FILES, name: b"{}"})


def test_a_pickle_renamed_to_text_is_data_and_is_not_run(tmp_path):
    payload = pickle.dumps(Exploit(tmp_path / "ran"))
    sealed = artifact.seal({"model.json": b"{}", "payload.txt": payload})
    assert artifact.verify(sealed)["payload.txt"] == payload
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_is_refused():
    sealed = artifact.seal(FILES)
    del sealed["booster.txt"]
    with pytest.raises(ArtifactRefused, match=r"booster\.txt"):
        artifact.verify(sealed)


def test_files_without_a_manifest_are_refused():
    with pytest.raises(ArtifactRefused, match="not sealed"):
        artifact.verify(FILES)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"format": 1}',
        b'{"format": 1, "files": []}',
        b'{"format": 2, "files": {}}',
        b'{"format": 1, "files": {"model.json": 3, "booster.txt": null}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_manifest_that_is_none_is_refused(manifest):
    with pytest.raises(ArtifactRefused):
        artifact.verify({**FILES, artifact.MANIFEST: manifest})


def test_a_manifest_cannot_declare_a_way_out(tmp_path):
    said = {"format": 1, "files": {"../secret.json": {"bytes": 1, "sha256": "0" * 64}}}
    with pytest.raises(ArtifactRefused):
        artifact.verify({artifact.MANIFEST: json.dumps(said).encode()})


def test_links_and_folders_are_refused(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"kind": "pool"}')
    folder = _laid_out(tmp_path / "data", artifact.seal(FILES))
    (folder / "model.json").unlink()
    (folder / "model.json").symlink_to(secret)
    with pytest.raises(ArtifactRefused, match="no regular file"):
        artifact.verify(folder)
    (folder / "model.json").unlink()
    (folder / "model.json").mkdir()
    with pytest.raises(ArtifactRefused, match="no regular file"):
        artifact.verify(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(ArtifactRefused, match="no folder"):
        artifact.verify(link)


def test_too_much_data_is_refused_before_it_is_read(tmp_path):
    folder = _laid_out(tmp_path / "data", artifact.seal(FILES))
    with (folder / "bomb.txt").open("wb") as file:
        file.truncate(artifact.MAX_BYTES * 1000)  # sparse: takes no space, reading it would
    with pytest.raises(ArtifactRefused, match="at most"):
        artifact.verify(folder)
    with pytest.raises(ArtifactRefused, match="at most"):
        artifact.check_listing({f"{i}.json": 1 for i in range(1000)})
