"""The registry on a real MLflow: what is registered comes back, what was tampered with does not."""

import gzip
import json
import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import httpx
import pytest
from small_model import small_model

from riskcast.core.errors import ArtifactRefused, ModelMissing, RegistryError
from riskcast.core.settings import Settings
from riskcast.registry import Registry, artifact, signature

PRODUCT = "daily_risk"


def _register(registry, model, **tags):
    return registry.register(
        PRODUCT,
        model,
        metrics={"qlike": 0.31, "coverage_80": 0.8},
        params={f"p{i}": i for i in range(130)},
        lineage={"features_daily": 7},
        tags={"git_sha": "abc123", **tags},
        example={"tv1": -9.0, "tv5": -9.1},
    )


def _data_folder(settings) -> Path:
    (folder,) = (settings.home_path / "mlflow-artifacts").glob("*/*/artifacts/model/data")
    return folder


def test_a_registered_model_comes_back_as_it_was(registry):
    model = small_model(fit_end=date(2018, 6, 29))
    version = _register(registry, model)
    loaded = registry.load(PRODUCT, version)
    assert loaded.model.dump() == model.dump()
    assert loaded.version == version == "1"
    assert loaded.digest == artifact.digest(artifact.seal(model.dump())) == loaded.tags["digest"]
    assert loaded.tags["fit_end"] == "2018-06-29"
    assert loaded.tags["recipe"] == model.recipe
    assert loaded.tags["git_sha"] == "abc123"


def test_the_ui_finds_metrics_parameters_commit_and_schema(registry, settings):
    from mlflow import MlflowClient
    from mlflow.models import Model

    model = small_model()
    _register(registry, model)
    client = MlflowClient(settings.mlflow_uri)
    found = client.get_model_version(PRODUCT, "1")
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"qlike": 0.31, "coverage_80": 0.8}
    assert len(run.data.params) == 130
    assert run.data.tags["mlflow.source.git.commit"] == "abc123"
    shown = Model.load(_data_folder(settings).parent / "MLmodel")
    assert shown.get_input_schema().input_names() == list(
        dict.fromkeys((*model.columns, *model.thresholds))
    )
    assert "python_function" not in shown.flavors
    assert found.source.endswith("/model")


def test_artifacts_are_shown_with_the_run_and_are_no_part_of_the_model(registry, settings):
    model = small_model()
    plain = _register(registry, model)
    shown = registry.register(
        PRODUCT, model, metrics={}, params={}, lineage={}, tags={},
        artifacts={"skill.html": b"<html></html>"},
    )  # fmt: skip
    (page,) = (settings.home_path / "mlflow-artifacts").glob("*/*/artifacts/report/skill.html")
    assert page.read_bytes() == b"<html></html>"
    loaded = [registry.load(PRODUCT, version) for version in (plain, shown)]
    assert loaded[0].digest == loaded[1].digest
    page.write_bytes(b"changed")
    assert registry.load(PRODUCT, shown).digest == loaded[1].digest


def test_the_same_model_has_the_same_digest_in_every_registration(registry):
    versions = [_register(registry, small_model()) for _ in range(2)]
    digests = {registry.load(PRODUCT, version).digest for version in versions}
    assert versions == ["1", "2"]
    assert len(digests) == 1


def test_an_alias_names_a_version_or_nothing(registry):
    assert registry.alias(PRODUCT, "champion") is None
    version = _register(registry, small_model())
    assert registry.alias(PRODUCT, "champion") is None
    registry.set_alias(PRODUCT, "champion", version)
    assert registry.alias(PRODUCT, "champion") == version
    assert registry.load(PRODUCT, "champion").version == version


def test_what_does_not_exist_is_named(registry):
    with pytest.raises(ModelMissing, match="champion"):
        registry.load(PRODUCT, "champion")
    _register(registry, small_model())
    with pytest.raises(ModelMissing, match="'9'"):
        registry.load(PRODUCT, "9")
    with pytest.raises(ModelMissing, match="'9'"):
        registry.set_alias(PRODUCT, "champion", "9")
    with pytest.raises(ModelMissing, match="'9'"):
        registry.promote(PRODUCT, "9", who="test", why="none")


def test_promotion_moves_champion_and_keeps_the_previous(registry):
    first, second = (_register(registry, small_model(shift=s)) for s in (0.0, 0.1))
    assert registry.promote(PRODUCT, first, who="job", why="first") is None
    assert registry.alias(PRODUCT, "previous") is None
    assert registry.promote(PRODUCT, second, who="anna", why="gate passed") == first
    assert registry.alias(PRODUCT, "champion") == second
    assert registry.alias(PRODUCT, "previous") == first
    assert registry.promote(PRODUCT, second, who="anna", why="again") == second
    assert registry.alias(PRODUCT, "previous") == first
    tags = registry.load(PRODUCT, second).tags
    assert (tags["promoted_by"], tags["promoted_why"]) == ("anna", "gate passed")


def test_versions_are_listed_newest_first_with_aliases_and_metrics(registry):
    assert registry.versions(PRODUCT) == []
    for shift in (0.0, 0.1, 0.2):
        _register(registry, small_model(shift=shift))
    registry.promote(PRODUCT, "2", who="job", why="test")
    listed = registry.versions(PRODUCT)
    assert [v.version for v in listed] == ["3", "2", "1"]
    assert [v.aliases for v in listed] == [(), ("champion",), ()]
    assert all(v.metrics["qlike"] == 0.31 and len(v.digest) == 64 for v in listed)


def test_an_altered_file_is_neither_loaded_nor_promoted(registry, settings):
    version = _register(registry, small_model())
    path = _data_folder(settings) / "model.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactRefused, match="altered"):
        registry.load(PRODUCT, version)
    with pytest.raises(ArtifactRefused):
        registry.promote(PRODUCT, version, who="test", why="none")
    assert registry.alias(PRODUCT, "champion") is None


def test_files_sealed_anew_after_tampering_fail_the_recorded_digest(registry, settings):
    version = _register(registry, small_model())
    folder = _data_folder(settings)
    for name, content in artifact.seal(small_model(shift=9.0).dump()).items():
        (folder / name).write_bytes(content)
    with pytest.raises(ArtifactRefused, match="digest"):
        registry.load(PRODUCT, version)


class _Exploit:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def _mlmodel(trace: Path) -> bytes:
    return f"flavors:\n  python_function:\n    loader_module: evil\n    data: {trace}\n".encode()


def _put(files):
    """Return what lays the files beside the model's."""

    def lay(folder, trace):
        for name, content in files(trace).items():
            (folder / name).write_bytes(content)

    return lay


def _link(folder, trace):
    secret = trace.with_name("secret.json")
    secret.write_bytes((folder / "model.json").read_bytes())
    (folder / "model.json").unlink()
    (folder / "model.json").symlink_to(secret)


def _bomb(folder, _):
    with (folder / "bomb.txt").open("wb") as file:
        file.truncate(artifact.MAX_BYTES * 100)  # sparse: takes no space, reading it would


def _deep(folder, _):
    for path in folder.iterdir():
        path.unlink()
    for name, content in artifact.seal({"model.json": b"[" * 100_000}).items():
        (folder / name).write_bytes(content)


def _way_out(folder, trace):
    declared = {f"../{trace.name}.json": {"bytes": 1, "sha256": "0" * 64}}
    said = json.dumps({"format": 1, "files": declared})
    (folder / artifact.MANIFEST).write_text(said)


def _changed_byte(folder, _):
    content = bytearray((folder / "model.json").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.json").write_bytes(bytes(content))


def _pickle_as_json(folder, trace):
    (folder / "model.json").write_bytes(pickle.dumps(_Exploit(trace)))


HOSTILE = {
    "a pickle": _put(lambda trace: {"model.pkl": pickle.dumps(_Exploit(trace))}),
    "a pickle as python_model": _put(
        lambda trace: {"python_model.pkl": pickle.dumps(_Exploit(trace))}
    ),
    "a pickle in place of JSON": _pickle_as_json,
    "a compressed pickle": _put(
        lambda trace: {"model.json.gz": gzip.compress(pickle.dumps(_Exploit(trace)))}
    ),
    "a joblib file": _put(lambda trace: {"model.joblib": pickle.dumps(_Exploit(trace))}),
    "a loader_module": _put(
        lambda trace: {
            "MLmodel": _mlmodel(trace),
            "evil.py": f"import os; os.mkdir({str(trace)!r})".encode(),
        }
    ),
    "an undeclared file": _put(lambda _: {"more.json": b"{}"}),
    "a skops file": _put(lambda _: {"model.skops": b"PK\x03\x04"}),
    "a shared library": _put(lambda _: {"lib.so": b"\x7fELF"}),
    "a link out of the folder": _link,
    "a folder": lambda folder, _: (folder / "more.json").mkdir(),
    "a pipe": lambda folder, _: os.mkfifo(folder / "more.json"),
    "too much data": _bomb,
    "JSON nested too deep": _deep,
    "a manifest that leads out": _way_out,
    "a changed byte": _changed_byte,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("signed", [True, False], ids=["key", "no key"])
def test_a_hostile_artifact_is_refused_and_nothing_runs(kind, signed, registry, settings, tmp_path):
    version = _register(registry, small_model())
    if not signed:  # the seal alone must hold where no key is configured
        (settings.keys_path / "model-signing.pub").unlink()
    trace = tmp_path / "ran"
    HOSTILE[kind](_data_folder(settings), trace)
    with pytest.raises(ArtifactRefused):
        registry.load(PRODUCT, version)
    assert not trace.exists()


def _tag(settings, version, **tags):
    from mlflow import MlflowClient

    for name, value in tags.items():
        MlflowClient(settings.mlflow_uri).set_model_version_tag(PRODUCT, version, name, value)


def _put_in_place(settings, model) -> str:
    """Replace the files and the digest, as who can write to the registry can; return the digest."""
    sealed, folder = artifact.seal(model.dump()), _data_folder(settings)
    for path in folder.iterdir():
        path.unlink()
    for name, content in sealed.items():
        (folder / name).write_bytes(content)
    _tag(settings, "1", digest=artifact.digest(sealed))
    return artifact.digest(sealed)


def test_files_and_digest_replaced_together_fail_the_signature(registry, settings):
    _register(registry, small_model())
    _put_in_place(settings, small_model(shift=9.0))
    with pytest.raises(ArtifactRefused, match="not signed"):
        registry.load(PRODUCT, "1")


@pytest.mark.parametrize("kind", ["another key", "another product", "nonsense", "empty"])
def test_a_wrong_signature_is_refused(kind, registry, settings, tmp_path):
    digest = registry.load(PRODUCT, _register(registry, small_model())).digest
    wrong = {
        "another key": lambda: signature.sign(tmp_path / "others", PRODUCT, digest),
        "another product": lambda: signature.sign(settings.keys_path, "another", digest),
        "nonsense": lambda: "nonsense",
        "empty": lambda: "",
    }[kind]()
    _tag(settings, "1", signature=wrong)
    with pytest.raises(ArtifactRefused, match=r"not signed|no signature"):
        registry.load(PRODUCT, "1")
    _tag(settings, "1", signature=signature.sign(settings.keys_path, PRODUCT, digest))
    assert registry.load(PRODUCT, "1").digest == digest


def test_a_server_that_is_told_a_key_asks_for_it_and_needs_no_private_one(registry, settings):
    _register(registry, small_model())
    public = settings.keys_path / signature.PUBLIC
    elsewhere = settings.home_path / "trusted.pub"
    public.rename(elsewhere)
    (settings.keys_path / signature.PRIVATE).unlink()
    assert Registry(replace(settings, model_key=str(elsewhere))).load(PRODUCT, "1").version == "1"
    elsewhere.unlink()
    with pytest.raises(ArtifactRefused, match="cannot be read"):
        Registry(replace(settings, model_key=str(elsewhere))).load(PRODUCT, "1")


def test_the_private_key_is_its_owners_alone_and_is_made_once(settings):
    first = signature.sign(settings.keys_path, PRODUCT, "0" * 64)
    for name in (signature.PRIVATE, signature.PUBLIC):
        assert stat.S_IMODE((settings.keys_path / name).stat().st_mode) == 0o600
    assert signature.sign(settings.keys_path, PRODUCT, "0" * 64) == first
    assert sorted(p.name for p in settings.keys_path.iterdir()) == [
        signature.PRIVATE,
        signature.PUBLIC,
    ]


def test_a_version_someone_else_registered_is_refused_and_nothing_runs(
    registry, settings, tmp_path
):
    from mlflow import MlflowClient

    trace, folder = tmp_path / "ran", tmp_path / "foreign"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_bytes(_mlmodel(trace))
    (folder / "data" / "evil.py").write_text(f"import os; os.mkdir({str(trace)!r})")
    _register(registry, small_model())
    client = MlflowClient(settings.mlflow_uri)
    client.create_model_version(PRODUCT, folder.as_uri(), tags={"digest": "0" * 64})
    with pytest.raises(ArtifactRefused):
        registry.load(PRODUCT, "2")
    client.create_model_version(PRODUCT, (folder / "data" / ".." / "..").as_uri())
    with pytest.raises(ArtifactRefused):
        registry.load(PRODUCT, "3")
    assert not trace.exists()


def test_a_sealed_file_that_is_no_model_is_refused(registry, settings):
    from mlflow import MlflowClient

    version = _register(registry, small_model())
    sealed = artifact.seal({"model.json": b'{"unexpected": [1, 2]}'})
    folder = _data_folder(settings)
    for path in folder.iterdir():
        path.unlink()
    for name, content in sealed.items():
        (folder / name).write_bytes(content)
    client = MlflowClient(settings.mlflow_uri)
    digest = artifact.digest(sealed)
    client.set_model_version_tag(PRODUCT, version, "digest", digest)
    signed = signature.sign(settings.keys_path, PRODUCT, digest)
    client.set_model_version_tag(PRODUCT, version, "signature", signed)
    with pytest.raises(ArtifactRefused):
        registry.load(PRODUCT, version)


def test_a_failed_registration_leaves_no_version_and_a_failed_run(registry, settings):
    from mlflow import MlflowClient

    with pytest.raises(ValueError, match="could not convert"):
        registry.register(
            PRODUCT, small_model(), metrics={"qlike": "high"}, params={}, lineage={}, tags={}
        )
    assert registry.versions(PRODUCT) == []
    client = MlflowClient(settings.mlflow_uri)
    experiment = client.get_experiment_by_name(PRODUCT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_nothing_is_written_to_the_working_directory_or_said_aloud(settings, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    program = (
        "from small_model import small_model\n"
        "from riskcast.core.settings import Settings\n"
        "from riskcast.registry import Registry\n"
        f"r = Registry(Settings(home={str(tmp_path / 'fresh')!r}))\n"
        "v = r.register('daily_risk', small_model(), metrics={}, params={}, lineage={}, tags={})\n"
        "r.promote('daily_risk', v, who='t', why='t'); r.load('daily_risk', 'champion')\n"
        "import mlflow.telemetry as t; assert t.get_telemetry_client() is None\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=here,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(here.iterdir()) == []


def test_a_dead_server_is_a_named_error_within_seconds(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(home=str(tmp_path), mlflow=f"http://127.0.0.1:{port}")
    started = time.perf_counter()
    with pytest.raises(RegistryError, match=str(port)):
        Registry(settings).alias(PRODUCT, "champion")
    assert time.perf_counter() - started < 30


@pytest.mark.slow
@pytest.mark.stack
def test_the_same_holds_behind_an_mlflow_server(tmp_path, empty_database):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_database.read_bytes())
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{database}", "--workers", "1"),
            *("--artifacts-destination", str(tmp_path / "artifacts")),
        ],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )
    try:
        _until_healthy(url)
        registry = Registry(Settings(home=str(tmp_path / "home"), mlflow=url))
        version = _register(registry, small_model())
        registry.promote(PRODUCT, version, who="test", why="server")
        assert registry.alias(PRODUCT, "champion") == version
        assert registry.load(PRODUCT, "champion").model.dump() == small_model().dump()
        (folder,) = (tmp_path / "artifacts").rglob("data")
        (folder / "evil.pkl").write_bytes(b"\x80\x04.")
        with pytest.raises(ArtifactRefused, match="data-only"):
            registry.load(PRODUCT, "champion")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _until_healthy(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(f"no MLflow server at {url} within 90 s")
