"""What Amazon MWAA is given: DAG files, plugins.zip, requirements.txt, startup script.

A MWAA environment has the Airflow of its image and this bundle, no package of a model: DAG files
and plugin import Airflow, its providers and the rooms of Riskcast that need the standard library
only. Steps run elsewhere (RISKCAST_PLACE=ecs).
"""

from __future__ import annotations

import shlex
import shutil
import zipfile
from dataclasses import fields
from pathlib import Path

from riskcast.core.errors import SettingsError
from riskcast.core.settings import PREFIX, Settings
from riskcast.core.snapshots import FOLDER, RELEASES, SESSIONS

ROOMS = ("core", "tables", "products", "pipelines", "alerts")
# Only the worker's own: the bundle belongs to no machine.
NOT_THERE = ("home", "files", "host", "slot", "cores")
# The image's constraints fix every version; a pin of our own could only contradict them.
REQUIREMENTS = "apache-airflow-providers-amazon[aiobotocore]\napache-airflow-providers-standard\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # equal content makes an equal archive


def build_bundle(settings: Settings, repository: Path, target: Path) -> Path:
    """Write the bundle below `target` anew and return it.

    Settings of the environment it is built in go into the startup script, since MWAA has no other
    place for them. The home's snapshots are shipped where there are any.

    Raises
    ------
    SettingsError
        If the settings would run steps on the Airflow worker itself.
    """
    if settings.place != "ecs":
        raise SettingsError(
            f"RISKCAST_PLACE={settings.place}: MWAA's workers have no package of a model; "
            "set RISKCAST_PLACE=ecs and the RISKCAST_ECS_ settings"
        )
    shutil.rmtree(target, ignore_errors=True)
    (target / "dags").mkdir(parents=True)
    for file in sorted((repository / "dags").glob("*.py")):
        shutil.copy(file, target / "dags")
    _plugins(settings, repository, target / "plugins.zip")
    (target / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    (target / "startup.sh").write_text(_startup(settings), encoding="utf-8")
    return target


def _plugins(settings: Settings, repository: Path, archive: Path) -> None:
    plugins, package = repository / "plugins", repository / "src" / "riskcast"
    files = {path.relative_to(plugins): path for path in plugins.rglob("*") if path.is_file()}
    files |= {
        Path("riskcast") / path.relative_to(package): path
        for path in (package / "__init__.py", *(p for r in ROOMS for p in (package / r).rglob("*")))
        if path.is_file()
    }
    for snapshot in (SESSIONS, RELEASES):
        own = settings.home_path / FOLDER / snapshot
        if own.is_file():
            files[Path("riskcast_airflow") / FOLDER / snapshot] = own
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, path in sorted(files.items()):
            if "__pycache__" not in name.parts:
                info = zipfile.ZipInfo(name.as_posix(), EPOCH)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                bundle.writestr(info, path.read_bytes())


def _startup(settings: Settings) -> str:
    """Return the script that MWAA runs before Airflow, within five minutes, on each container."""
    given = {
        PREFIX + each.name.upper(): getattr(settings, each.name)
        for each in fields(Settings)
        if each.name not in NOT_THERE and getattr(settings, each.name) != each.default
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in given.items()]
    return "\n".join(("#!/bin/sh", "export RISKCAST_HOME=/tmp/riskcast", *lines, ""))
