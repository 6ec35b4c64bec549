"""Options of the compose project: https, AWS and its stand-in, and both versions of Compose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import PROJECT, ROOT, SERVICES, merged

from riskcast.core.errors import SettingsError, StackError
from riskcast.core.settings import Settings
from riskcast.online.mirror import ATTRIBUTES, KEY_SCHEMA
from riskcast.standalone import compose
from riskcast.standalone.tls import issue

FILES = ("docker-compose.yml", "docker-compose.tls.yml", "docker-compose.aws.yml")
COMPOSE = shutil.which("docker-compose")
# Of the Compose Specification; what a service of ours uses beyond it is a mistake, or a
# feature that one of the two versions lacks.
KNOWN = {
    "build", "cap_drop", "command", "cpus", "depends_on", "environment", "healthcheck", "image",
    "init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles", "read_only",
    "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "stop_signal", "tmpfs",
    "volumes",
}  # fmt: skip


def config(environ: dict[str, str]) -> dict:
    """Return what docker-compose itself makes of the files."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("RISKCAST_", "COMPOSE_"))}
    ran = subprocess.run(
        [COMPOSE, "config"], cwd=ROOT, capture_output=True, text=True, env=plain | environ
    )
    assert ran.returncode == 0, ran.stderr
    return yaml.safe_load(ran.stdout)


# https


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    issued = issue(tmp_path / "keys", ("localhost", "127.0.0.1"), 2)
    monkeypatch.setenv("RISKCAST_TLS_CERTIFICATE", str(issued.certificate))
    monkeypatch.setenv("RISKCAST_TLS_KEY", str(issued.key))
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    return issued


def test_a_certificate_in_the_settings_opens_https_and_keeps_the_plain_port_to_loopback(
    certificate, monkeypatch
):
    monkeypatch.setenv("RISKCAST_HOST", "0.0.0.0")
    monkeypatch.setenv("RISKCAST_TLS_PORT", "9443")
    given = compose._environment()
    assert given["COMPOSE_FILE"] == "docker-compose.yml:docker-compose.tls.yml"
    assert given["RISKCAST_PUBLIC_URL"] == "https://127.0.0.1:9443"
    if COMPOSE is None:
        pytest.skip("docker-compose is not installed")
    nginx = config({k: v for k, v in given.items() if k not in os.environ or "TLS" in k} |
                   {"RISKCAST_HOST": given["RISKCAST_HOST"]})["services"]["nginx"]  # fmt: skip
    assert sorted(map(str, nginx["ports"])) == ["0.0.0.0:9443:8443/tcp", "127.0.0.1:8080:8080/tcp"]
    assert nginx["environment"]["RISKCAST_TLS_PORT"] == "8443"


def test_files_that_were_named_before_stay(certificate, monkeypatch):
    monkeypatch.setenv("COMPOSE_FILE", "docker-compose.yml:docker-compose.aws.yml")
    files = compose._environment()["COMPOSE_FILE"]
    assert files == "docker-compose.yml:docker-compose.aws.yml:docker-compose.tls.yml"


def test_certificate_and_key_are_mounted_as_secrets_and_follow_a_renewal(certificate, tmp_path):
    settings = Settings(tls_certificate=str(certificate.certificate), tls_key=str(certificate.key))
    folder = compose.make_secrets(settings, tmp_path / "secrets")
    again = issue(tmp_path / "keys", ("localhost",), 2)
    assert (folder / "tls.pem").read_bytes() != again.certificate.read_bytes()
    compose.make_secrets(settings, folder)
    assert (folder / "tls.pem").read_bytes() == again.certificate.read_bytes()
    assert (folder / "tls.key").read_bytes() == again.key.read_bytes()
    nginx = merged("docker-compose.tls.yml")["nginx"]
    assert {"tls.pem", "tls.key"} <= set(nginx["secrets"])
    for name in ("CERTIFICATE", "KEY"):
        path = Path(nginx["environment"][f"RISKCAST_TLS_{name}"])
        assert path.parent == Path("/run/secrets") and path.name in nginx["secrets"]


def test_half_of_a_certificate_is_refused(certificate, tmp_path):
    half = Settings(tls_certificate=str(certificate.certificate))
    with pytest.raises(SettingsError, match="go together"):
        compose.make_secrets(half, tmp_path / "secrets")


# A restore that has not ended


def test_a_project_that_is_being_restored_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setattr(compose, "secrets_folder", lambda: tmp_path)
    compose.restoring().write_text("{}")
    with pytest.raises(StackError, match="has not ended"):
        compose.compose_up(Settings(home=str(tmp_path)), lambda *_: None)


# AWS, and what stands in for it


def test_every_service_that_reads_or_writes_the_lake_is_told_of_the_bucket():
    services = merged("docker-compose.aws.yml")
    told = {n for n, s in services.items() if "AWS_ENDPOINT_URL" in s.get("environment", {})}
    mounts = {name for name, s in SERVICES.items()
              if any(str(each).startswith("lake:") for each in s.get("volumes", []))}  # fmt: skip
    assert told == mounts - {"airflow-init"}, "which migrates a database and ends"
    for name in told:
        environment, secrets = services[name]["environment"], services[name]["secrets"]
        assert environment["RISKCAST_LAKE"] == "${RISKCAST_LAKE:-s3://riskcast/lake}"
        for variable, path in environment.items():
            if variable.startswith("FILE__AWS"):
                assert Path(path).name in secrets
        assert set(SERVICES[name].get("environment", {})) <= set(environment)


def test_the_stand_in_has_the_bucket_and_the_table_that_services_are_told_of():
    settings = SERVICES["moto"]["environment"]
    services = merged("docker-compose.aws.yml")
    assert settings.items() <= services["runner"]["environment"].items()
    port = re.search(r"\nEXPOSE (\d+)", moto_stage())[1]
    assert f":-http://moto:{port}}}" in services["runner"]["environment"]["AWS_ENDPOINT_URL"]


def moto_stage() -> str:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    return text[text.index("FROM base AS moto") :]


def test_the_stand_in_starts_and_an_account_has_what_the_mirror_needs(tmp_path):
    import boto3

    started = subprocess.Popen(
        [sys.executable, str(ROOT / "docker" / "moto" / "start"), "0"],
        env=os.environ | {"RISKCAST_LAKE": "s3://a-lake/x", "RISKCAST_DYNAMODB_TABLE": "mirror"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = started.stdout.readline().strip()
        account = boto3.Session("any", "any", region_name="us-east-1")
        buckets = account.client("s3", endpoint_url=address).list_buckets()["Buckets"]
        assert [each["Name"] for each in buckets] == ["a-lake"]
        client = account.client("dynamodb", endpoint_url=address)
        table = client.describe_table(TableName="mirror")["Table"]
        assert table["KeySchema"] == list(KEY_SCHEMA)
        assert sorted(map(str, table["AttributeDefinitions"])) == sorted(map(str, ATTRIBUTES))
    finally:
        started.terminate()
    assert started.wait(20) == 0


# Both versions of Compose


@pytest.mark.parametrize("file", FILES)
def test_a_file_uses_only_keys_that_both_versions_of_compose_know(file):
    project = yaml.safe_load((ROOT / file).read_text())
    top = {key for key in project if not key.startswith("x-")}
    # `version` only warns in the second; `name` is not known to the first.
    assert top <= {"services", "networks", "volumes", "secrets"}
    for name, service in project["services"].items():
        assert set(service) <= KNOWN, name
        assert isinstance(service.get("environment", {}), dict), name
        for key in ("ports", "secrets", "volumes", "security_opt", "cap_drop"):
            assert all(isinstance(each, str) for each in service.get(key, [])), (name, key)


@pytest.mark.parametrize("file", FILES)
def test_variables_are_asked_for_in_ways_that_both_versions_know(file):
    text = (ROOT / file).read_text().replace("$$", "")
    for found in re.findall(r"\$\{([^}]*)\}", text):
        # The first knows no ${NAME:+...} and nothing nested.
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]*(:-[^${}]*)?", found), found
    assert not re.search(r"\$[A-Za-z_]", text)


def test_what_a_service_names_is_declared():
    for name, service in merged("docker-compose.tls.yml", "docker-compose.aws.yml").items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert set(service["networks"]) <= set(PROJECT["networks"]), name
        for each in service.get("volumes", []):
            assert each.partition(":")[0] in PROJECT["volumes"], name
        for need in service.get("depends_on", {}):
            # The second refuses who needs a service whose profile is not asked for.
            assert set(SERVICES[need].get("profiles", [])) <= set(service.get("profiles", [])), name


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
@pytest.mark.parametrize(
    "files", ["docker-compose.yml", "docker-compose.yml:docker-compose.tls.yml", ":".join(FILES)]
)
def test_docker_compose_makes_of_the_files_what_is_meant(files):
    told = config({"COMPOSE_FILE": files, "COMPOSE_PROFILES": "full,keeper"})
    assert set(told["services"]) == set(SERVICES)
    wanted = merged(*files.split(":")[1:])
    for name, service in told["services"].items():
        assert set(service.get("environment", {})) == set(wanted[name].get("environment", {})), name
        secrets = {each["source"] for each in service.get("secrets", [])}
        assert secrets == set(wanted[name].get("secrets", [])), name


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_the_files_fit_the_schema_of_the_compose_specification():
    jsonschema = pytest.importorskip("jsonschema")
    asked = "import compose.config as c; print(c.__path__[0])"
    python = Path(COMPOSE).resolve().read_bytes().splitlines()[0].decode().removeprefix("#!")
    found = subprocess.run([python.strip(), "-c", asked], capture_output=True, text=True)
    schema = Path(found.stdout.strip()) / "compose_spec.json"
    if not schema.is_file():
        pytest.skip("this docker-compose carries no schema")
    for file in FILES:
        project = yaml.safe_load((ROOT / file).read_text())
        jsonschema.Draft201909Validator(json.loads(schema.read_text())).validate(project)
