"""The stack in containers: its secrets, and docker-compose started and stopped as one command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from riskcast.core.clock import seconds
from riskcast.core.errors import StackError
from riskcast.core.settings import LOOPBACK, PREFIX, Settings, read_settings
from riskcast.standalone.layout import (
    AIRFLOW_PATH,
    MLFLOW_ADMIN,
    MLFLOW_PATH,
    MLFLOW_READER,
    Layout,
    airflow_password_file,
    mlflow_password,
    repository,
)
from riskcast.standalone.nginx import tls_of
from riskcast.standalone.postgres import DATABASES
from riskcast.standalone.secrets import CONSOLE, fernet_key, secret, write_private

FOLDER = "secrets"
RUNNER = "runner"
UP_SECONDS = 900.0
POLL_SECONDS = 0.5
TLS_FILE = "docker-compose.tls.yml"
PROFILES = ("--profile", "full", "--profile", "keeper")  # all there are
Progress = Callable[[str, str, float], None]


def secrets_folder() -> Path:
    """Return the checkout's folder of secrets, which docker-compose.yml names."""
    return repository() / FOLDER


def make_secrets(settings: Settings, folder: Path) -> Path:
    """Make every secret of the compose project that is not there yet; return the folder.

    The folder is its owner's alone. The files in it are readable to all, since each is mounted
    alone into the containers that need it, whose account is another than the owner's.

    Raises
    ------
    SettingsError
        If the file of API keys, or a file of TLS, cannot be read.
    """
    # Imported here: the API's own packages are needed for this one call.
    from riskcast.registry.signature import ensure_key
    from riskcast.serving.auth import ensure_admin_key, ensure_api_key

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    settings = replace(settings, keys=str(folder))
    layout = Layout.of(settings)
    ensure_api_key(settings)
    ensure_admin_key(settings)
    ensure_key(folder)
    for name in ("postgres", *(f"postgres-{database}" for database in DATABASES)):
        secret(folder, name)
    write_private(folder / "redis-url", f"redis://:{secret(folder, 'redis')}@redis:6379/0\n")
    for user in (MLFLOW_ADMIN, MLFLOW_READER):
        mlflow_password(layout, user)
    for name in ("mlflow-session", "airflow-api", "airflow-jwt", CONSOLE, RUNNER):
        secret(folder, name)
    for name in ("mlflow-webhooks", "airflow-fernet"):
        secret(folder, name, fernet_key)
    airflow_password_file(layout)
    for name in ("aws-access-key-id", "aws-secret-access-key"):  # moto takes any
        secret(folder, name)
    if tls := tls_of(settings):
        write_private(folder / "tls.pem", tls.certificate.read_text())
        write_private(folder / "tls.key", tls.key.read_text())
    for path in folder.iterdir():
        path.chmod(0o444)
    return folder


def client(settings: Settings) -> Settings:
    """Return the settings of a client on this machine: everything through nginx's one port."""
    door = f"http://{LOOPBACK}:{settings.api_port}"
    return replace(
        settings,
        keys=str(secrets_folder()),
        api_url=door,
        mlflow=f"{door}{MLFLOW_PATH}",
        mlflow_user=MLFLOW_ADMIN,
    )


def airflow_door(settings: Settings) -> tuple[str, str]:
    """Return where clients of this machine reach Airflow, and the password of its admin."""
    users = json.loads((secrets_folder() / "airflow-users.json").read_text())
    return f"http://{LOOPBACK}:{settings.api_port}{AIRFLOW_PATH}", str(users["admin"])


def restoring() -> Path:
    """Return the file that stands while a backup is put back: the project is not whole then."""
    # Several projects may share the secrets; what one restore left is no other's to remove.
    return secrets_folder() / f"restoring-{_environment()['COMPOSE_PROJECT_NAME']}.json"


def compose(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run docker-compose on the project and return what it said.

    Raises
    ------
    StackError
        If there is no docker-compose, or, with `check`, it fails.
    """
    command = (*_program(), *arguments)
    ran = subprocess.run(
        command, cwd=repository(), capture_output=True, text=True, check=False, env=_environment()
    )
    if check and ran.returncode:
        said = "\n  ".join(("", *ran.stderr.strip().splitlines()[-12:]))
        cure = "\n`make images` builds what is missing" if "--no-build" in arguments else ""
        raise StackError(f"{' '.join(command)} ended with {ran.returncode}:{said}{cure}")
    return ran


def compose_up(settings: Settings, progress: Progress, profiles: Sequence[str] = ()) -> None:
    """Start the project and wait until every container is healthy or, if it prepares, has ended.

    Raises
    ------
    StackError
        If an image is missing, a container does not become healthy in time, or a restore has not
        ended.
    """
    if restoring().exists():
        raise StackError("a restore of this project has not ended; run `riskcast restore` again")
    make_secrets(settings, secrets_folder())
    start((), progress, profiles)


def start(
    services: Sequence[str],
    progress: Progress = lambda *_: None,
    profiles: Sequence[str] = (),
) -> None:
    """Start services, all when none are named, and wait until all that there are are healthy.

    Raises
    ------
    StackError
        If an image is missing, or a container does not become healthy in time.
    """
    begun = seconds()
    chosen = [part for name in profiles for part in ("--profile", name)]
    # Itself it waits for what others need, not for what nobody needs.
    compose(*chosen, "up", "--detach", "--no-build", *services)
    healthy: set[str] = set()
    while healthy != set(states := container_states()):
        for name in sorted(set(states) - healthy):
            state = states[name]
            if state in ("healthy", "exited 0"):
                healthy.add(name)
                progress(name, "healthy", seconds() - begun)
            elif state.startswith("exited") or seconds() - begun > UP_SECONDS:
                last = compose("logs", "--no-color", "--tail=8", name, check=False).stdout
                raise StackError(f"{name} is {state} after {seconds() - begun:.0f} s:\n{last}")
        time.sleep(POLL_SECONDS)


def compose_down(*, volumes: bool = False) -> None:
    """Stop the project and remove its containers and networks, its data only when asked to."""
    compose(*PROFILES, "down", *(("--volumes",) if volumes else ()))


def volumes() -> list[str]:
    """Return the names of the project's volumes, which hold its data."""
    ours = f"label=com.docker.compose.project={_environment()['COMPOSE_PROJECT_NAME']}"
    return _docker("volume", "ls", "--filter", ours, "--format", "{{.Name}}").split()


def started(*arguments: str, **pipes: Any) -> subprocess.Popen[bytes]:
    """Start docker-compose on the project; `pipes` are those of ``subprocess.Popen``."""
    command = (*_program(), *arguments)
    return subprocess.Popen(command, cwd=repository(), env=_environment(), **pipes)


def container_states() -> dict[str, str]:
    """Return what Docker says of each service: its health, or ``exited <status>``."""
    # Docker itself, not docker-compose 1, which needs a second for each answer.
    shown = '{{.Label "com.docker.compose.service"}}|{{.State}}|{{.Status}}'
    ours = f"label=com.docker.compose.project={_environment()['COMPOSE_PROJECT_NAME']}"
    states = {}
    lasting = "label=com.docker.compose.oneoff=False"
    command = ("ps", "--all", "--filter", ours, "--filter", lasting, "--format", shown)
    for line in _docker(*command).splitlines():
        service, state, said = line.split("|")
        found = re.search(r"\(([\w: ]+)\)", said)  # Up 5 minutes (healthy); Exited (0) 2 days ago
        detail = found[1] if found else ""
        states[service] = f"exited {detail}" if state == "exited" else detail or state
    return states


def _docker(*arguments: str) -> str:
    ran = subprocess.run(("docker", *arguments), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise StackError(f"Docker does not answer: {ran.stderr.strip()}")
    return ran.stdout


def _program() -> tuple[str, ...]:
    """Return docker-compose 1 where there is one, else Docker's own plugin."""
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    if shutil.which("docker"):
        return ("docker", "compose")
    raise StackError("there is no docker-compose on this machine; `riskcast up` needs none")


def _environment() -> dict[str, str]:
    # Its own name, so that two checkouts do not take each other's volumes for theirs.
    given = {"COMPOSE_PROJECT_NAME": "riskcast", **os.environ}
    settings = read_settings()
    if not settings.tls_certificate:
        return given
    return given | {
        "COMPOSE_FILE": ":".join(_files(given)),
        # Who comes from outside comes by https; the plain port is this machine's own.
        "TLS_HOST": settings.host,
        f"{PREFIX}HOST": LOOPBACK,
        f"{PREFIX}PUBLIC_URL": settings.door,
    }


def _files(given: Mapping[str, str]) -> list[str]:
    """Return the files docker-compose would read, and the one of https."""
    root = repository()
    dotenv = root / ".env"
    said = re.search(r"^COMPOSE_FILE=(.+)$", dotenv.read_text() if dotenv.exists() else "", re.M)
    if named := given.get("COMPOSE_FILE") or (said[1].strip() if said else ""):
        files = named.split(":")
    else:
        files = ["docker-compose.yml", "docker-compose.override.yml"]
        files = [name for name in files if (root / name).exists()]
    return files if TLS_FILE in files else [*files, TLS_FILE]
