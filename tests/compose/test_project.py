"""The compose project: closed, limited, without secrets, and the same stack as `riskcast up`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from project import DOCKERFILE, PREPARATIONS, PROJECT, ROOT, SERVICES, environment, role, stages

from riskcast.core.settings import Settings
from riskcast.standalone.compose import make_secrets
from riskcast.standalone.layout import Layout
from riskcast.standalone.processes import Process, declare

# Processes of `riskcast up` whose service has another name.
NAMES = {"blue": "model-blue", "green": "model-green"} | dict.fromkeys(
    ("airflow-migrate", "airflow-pool"), "airflow-init"
)
ADDRESS = re.compile(r"http://([a-z-]+):(\d+)")


@pytest.fixture(scope="module")
def declared(tmp_path_factory) -> dict[str, Process]:
    settings = Settings(home=str(tmp_path_factory.mktemp("home")))
    return {process.name: process for process in declare(settings, Layout.of(settings))}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name):
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "restart", "logging"} <= set(service)
    assert not {"privileged", "network_mode", "pid", "user", "devices"} & set(service)
    assert all("docker.sock" not in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("stage", sorted({role(name) for name in SERVICES}))
def test_an_image_runs_as_nobody_and_says_whether_it_is_healthy(stage):
    text = stages()[stage]
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    last = users[-1] if users else "10001:10001"  # of the base they share
    assert last in ("10001:10001", "postgres", "redis")
    assert users or text.startswith("base ")
    assert "HEALTHCHECK" in text


def test_images_carry_no_tool_that_built_them():
    for name in {role(name) for name in SERVICES}:
        copied = re.findall(r"COPY --from=(\S+) (\S+)", stages()[name])
        assert {path for _, path in copied} <= {"/opt/venv", "/opt/riskcast"}, name
        assert "/tools" not in stages()[name]


def test_only_nginx_is_published_and_on_loopback_unless_told_otherwise():
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published == {"nginx": ["${RISKCAST_HOST:-127.0.0.1}:${RISKCAST_API_PORT:-8080}:8080"]}


def test_networks_keep_data_from_the_edge():
    networks = PROJECT["networks"]
    assert networks["app"]["internal"] and networks["data"]["internal"]
    on = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert {name for name, where in on.items() if "edge" in where} == {"nginx", "runner"}
    assert on["postgres"] == on["redis"] == {"data"}
    assert "data" not in on["nginx"] | on["dashboard"] | on["inbox"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_server_is_waited_for_by_its_health(name):
    for need, condition in SERVICES[name].get("depends_on", {}).items():
        ended = need in PREPARATIONS
        wanted = "service_completed_successfully" if ended else "service_healthy"
        assert condition == {"condition": wanted}
    assert ("healthcheck" in SERVICES[name]) >= (name in PREPARATIONS)


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_exists_and_every_address_is_a_service(name):
    known = {f"RISKCAST_{field.name.upper()}" for field in fields(Settings)}
    for variable, value in environment(name).items():
        plain = variable.removeprefix("FILE__")
        assert not plain.startswith("RISKCAST_") or plain in known, variable
        for host, _ in ADDRESS.findall(str(value)):
            assert host in SERVICES, value


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_is_a_file_that_is_mounted_where_it_is_read(name):
    mounted = set(SERVICES[name].get("secrets", []))
    assert mounted <= set(PROJECT["secrets"])
    for variable, value in environment(name).items():
        if variable.startswith("FILE__"):
            assert Path(value).parent == Path("/run/secrets") and Path(value).name in mounted
        else:
            assert not re.search(r"PASSWORD$|SECRET|TOKEN|_KEY$", variable), variable
            assert not re.search(r"://[^/]*:[^/@]*@", str(value)), variable


def test_make_secrets_makes_what_the_project_mounts_and_keeps_what_is_there(tmp_path):
    folder = make_secrets(Settings(home=str(tmp_path / "home")), tmp_path / "secrets")
    named = {Path(each["file"]).name for each in PROJECT["secrets"].values()}
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert named <= set(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    # Containers have another account; no other account of this machine gets into the folder.
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    again = make_secrets(Settings(home=str(tmp_path / "home")), folder)
    assert {path.name: path.read_text() for path in again.iterdir()} == made


def test_what_the_project_mounts_never_enters_git_or_an_image():
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored and not any("secrets" in line for line in ignored if line[0] == "!")


# The same stack as `riskcast up`.


def test_every_process_is_a_service_and_every_other_service_is_known(declared):
    core = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert {NAMES.get(name, name) for name in declared} | {"runner"} == core
    profiles = {name: SERVICES[name]["profiles"] for name in set(SERVICES) - core}
    assert profiles.pop("keeper") == ["keeper"]
    assert all(each == ["full"] for each in profiles.values())


def test_services_need_what_the_processes_need(declared):
    for process in declared.values():
        ours = NAMES.get(process.name, process.name)
        needs = {NAMES.get(need, need) for need in process.needs} - {ours}
        # Whoever needs what was prepared in it needs the database no less, and says so.
        assert needs <= set(SERVICES[ours].get("depends_on", {})), process.name


def test_services_run_the_commands_of_the_processes(declared):
    """Up to the interpreter, and where it listens."""
    for name in ("mlflow-users", "inbox", "rollout-watch", "airflow-scheduler", "airflow-triggerer",
                 "airflow-dag-processor"):  # fmt: skip
        theirs = [Path(declared[name].command[0]).name, *declared[name].command[1:]]
        theirs = [word for word in theirs if word not in ("-m", "python3", "python3.11", "python")]
        ours = [word for word in SERVICES[NAMES.get(name, name)]["command"]
                if word not in ("-m", "python")]  # fmt: skip
        assert ours == theirs
    for name, stage in (("mlflow", "mlflow"), ("dashboard", "dashboard"), ("blue", "serving")):
        ours = re.findall(r'"([^"]+)"', stages()[stage].rpartition("\nCMD ")[2])
        for word in declared[name].command[2:]:
            local = word.startswith(("127.", "/")) or word.isdigit()
            assert local or word in ours or word == "mlflow", f"{name}: {word}"


@pytest.mark.parametrize(
    ("process", "service"), [("mlflow", "mlflow"), ("airflow-scheduler", "airflow-scheduler")]
)
def test_options_of_a_server_are_the_same(declared, process, service):
    prefix = process.partition("-")[0].upper()
    theirs = {k: v for k, v in declared[process].environment.items() if k.startswith(prefix)}
    ours = {k.removeprefix("FILE__"): v for k, v in environment(service).items()
            if k.removeprefix("FILE__").startswith(prefix)}  # fmt: skip
    # Of the image, or of webhooks, which MLflow sends to its own machine alone.
    elsewhere = {
        "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS",
        "MLFLOW_WEBHOOK_REQUEST_TIMEOUT", "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES",
        "MLFLOW_WEBHOOK_CACHE_TTL",
    }  # fmt: skip
    assert set(theirs) - elsewhere == set(ours)
    for name, value in ours.items():
        place = f"FILE__{name}" in environment(service) or re.search(r"[/:$]|^0\.", str(value))
        assert place or value == theirs[name], name


def test_the_login_of_mlflow_is_configured_as_in_the_stack_without_containers(tmp_path):
    from riskcast.standalone.configure import _mlflow

    layout = Layout(tmp_path)
    layout.make()
    _mlflow(layout)
    theirs = (tmp_path / "mlflow" / "basic_auth.ini").read_text().splitlines()
    ours = (ROOT / "docker" / "mlflow" / "basic_auth.ini").read_text().splitlines()
    assert [line for line in ours if "uri" not in line] == [
        line for line in theirs if "uri" not in line
    ]


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_docker_compose_takes_the_project():
    checked = subprocess.run(
        ["docker-compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "COMPOSE_PROFILES": "full"},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


# What images are made of.

PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
ROLES = ("airflow", "mlflow", "runner", "serving", "dashboard", "nginx", "moto", "build")


@pytest.mark.parametrize("name", ROLES)
def test_an_image_gets_the_versions_that_were_tested_each_with_its_hash(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pinned = dict(PIN.findall(text))
    tested = dict(PIN.findall((ROOT / "requirements" / "dev.txt").read_text()))
    shared = {package: pinned[package] for package in set(pinned) & set(tested)}
    assert shared and all(tested[package] == version for package, version in shared.items())
    # Nothing but what builds is there that the tests have not seen.
    assert name == "build" or set(pinned) <= set(tested)
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text and "index" not in text.partition("\n")[0]


def test_airflow_comes_without_what_computes():
    pinned = set(dict(PIN.findall((ROOT / "requirements" / "airflow.txt").read_text())))
    assert "apache-airflow" in pinned
    assert not pinned & {"pandas", "polars", "scikit-learn", "xgboost", "lightgbm", "mlflow"}


def test_the_dockerfile_names_no_place_packages_come_from():
    assert not re.search(r"https?://(?!127\.0\.0\.1)", DOCKERFILE)


@pytest.mark.parametrize("stage", [n for n, text in stages().items() if text.startswith("base AS")])
def test_an_image_knows_its_commit_and_a_new_one_costs_no_layer_before_it(stage):
    text = stages()[stage]
    assert "ENV GIT_SHA=${REVISION}" in text
    assert text.index("ARG REVISION") > text.rindex("COPY --from")
    assert "REVISION" not in stages()["base"]


def test_where_there_is_no_git_the_version_stands_in_for_the_commit(monkeypatch):
    from riskcast.jobs.lineage import git_sha

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("GIT_SHA", raising=False)
    git_sha.cache_clear()
    try:
        assert git_sha().startswith("riskcast-")
    finally:
        git_sha.cache_clear()
