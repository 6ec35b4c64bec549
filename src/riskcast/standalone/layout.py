"""Where the stack keeps what below <home>, and how clients reach its servers."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import riskcast
from riskcast.core.errors import StackError
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.standalone.secrets import secret, write_private

# sun_path holds 108 bytes; PostgreSQL adds /.s.PGSQL.5432.lock to the folder.
LONGEST_SOCKET_FOLDER = 80
MLFLOW_PATH = "/mlflow"  # of its UI and API, at its own port and behind nginx
AIRFLOW_PATH = "/airflow"  # likewise
MLFLOW_ADMIN, MLFLOW_READER = "admin", "reader"


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders of one installation; making one creates nothing.

    Raises
    ------
    StackError
        If the home's path holds a character that a server's configuration gives a meaning.
    """

    home: Path

    def __post_init__(self) -> None:
        if odd := sorted(set(re.findall(r"[^\w./@+~=,-]", str(self.home)))):
            raise StackError(
                f"RISKCAST_HOME={str(self.home)!r} holds {odd}, which servers' configuration "
                "files cannot carry; choose a folder without them"
            )

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        return cls(settings.home_path)

    @property
    def run(self) -> Path:
        """State of the running stack: supervisor's configuration, records, sockets."""
        return self.home / "run"

    @property
    def records(self) -> Path:
        return self.run / "processes"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def artifacts(self) -> Path:
        """Folder of the models and figures that MLflow keeps."""
        return self.home / "mlflow-artifacts"

    @property
    def restoring(self) -> Path:
        """File that stands while a backup is put back: the home is not whole then."""
        return self.home / "restoring.json"

    @property
    def sockets(self) -> Path:
        """Folder of unix sockets: <home>/run/sockets, or a recorded short one if that is deep."""
        if not self._deep:
            return self.run / "sockets"
        return Path(self._pointer.read_text()) if self._pointer.exists() else self._pointer

    @property
    def _deep(self) -> bool:
        return len(str(self.run / "sockets" / "postgres")) > LONGEST_SOCKET_FOLDER

    @property
    def _pointer(self) -> Path:
        return self.run / "sockets.path"

    def make(self) -> None:
        """Create the folders; the short one for sockets anew where its own has gone."""
        self.home.mkdir(parents=True, exist_ok=True)
        for folder in (self.run, self.records, self.logs, self.keys):
            folder.mkdir(exist_ok=True)
        self.keys.chmod(0o700)
        self.logs.chmod(0o700)
        if not self._deep:
            self.sockets.mkdir(exist_ok=True)
        elif not (self.sockets.is_dir() and self.sockets.stat().st_uid == os.geteuid()):
            write_private(self._pointer, tempfile.mkdtemp(prefix="riskcast-"))
        self.sockets.chmod(0o711)

    def remove_sockets(self) -> None:
        """Remove the folder of sockets, which only a running stack needs."""
        if self.sockets.is_dir():
            shutil.rmtree(self.sockets)
        self._pointer.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one `up` or `down` at a time change the stack; others wait."""
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def repository() -> Path:
    """Return the checkout that holds dags/, plugins/ and nginx/.

    Raises
    ------
    StackError
        If Riskcast is not installed from a checkout.
    """
    root = Path(riskcast.__file__).resolve().parents[2]
    if missing := [name for name in ("dags", "plugins", "nginx") if not (root / name).is_dir()]:
        raise StackError(
            f"{root} has no folder {', '.join(missing)}; the stack runs from a checkout: "
            "clone the repository and install it with `pip install -e`"
        )
    return root


def wheel(package: str) -> Path:
    """Return the folder of an installed package that carries a server.

    It is found, not imported: that would cost time, and one makes folders in the user's home.

    Raises
    ------
    StackError
        If it is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise StackError(f"{package} is missing; install Riskcast with the extra `standalone`")
    return Path(found.origin).parent


def connected(settings: Settings) -> Settings:
    """Return the settings of a client of the running stack: its MLflow, its Redis, its inbox."""
    password = secret(Layout.of(settings).keys, "redis")
    if not settings.mlflow:
        url = f"http://{LOOPBACK}:{settings.mlflow_port}{MLFLOW_PATH}"
        settings = replace(settings, mlflow=url, mlflow_user=MLFLOW_ADMIN)
    if not settings.mail_host:  # mails go to the stack's own inbox
        settings = replace(
            settings,
            mail_host=LOOPBACK,
            mail_port=settings.smtp_port,
            mail_tls="none",
            mail_to=settings.mail_to or settings.mail_from,
        )
    return replace(
        settings,
        home=str(settings.home_path),
        redis=settings.redis or f"redis://:{password}@{LOOPBACK}:{settings.redis_port}/0",
    )


def airflow_password_file(layout: Layout) -> Path:
    """Return the file of Airflow's simple auth manager, with one user, admin."""
    path = layout.keys / "airflow-users.json"
    if not path.exists():
        write_private(path, json.dumps({"admin": secret(layout.keys, "airflow-admin")}) + "\n")
    return path


def door_url(settings: Settings) -> str:
    """Return where browsers of this machine reach nginx."""
    if settings.tls_certificate:
        return f"https://{LOOPBACK}:{settings.tls_port}"
    return f"http://{LOOPBACK}:{settings.api_port}"


def airflow_url(settings: Settings) -> str:
    """Return where this machine's clients reach Airflow: its own port, under its path."""
    return f"http://{LOOPBACK}:{settings.airflow_port}{AIRFLOW_PATH}"


def airflow_password(settings: Settings) -> str:
    """Return the password of Airflow's user admin."""
    found: dict[str, str] = json.loads(airflow_password_file(Layout.of(settings)).read_text())
    return found["admin"]


def mlflow_password(layout: Layout, user: str) -> str:
    """Return the password of a user of the stack's MLflow, made on first use."""
    return secret(layout.keys, f"mlflow-{user}")
