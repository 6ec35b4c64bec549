"""docker-compose.yml and docker/Dockerfile as data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
PREPARATIONS = {"mlflow-users", "airflow-init", "keeper"}


def stages() -> dict[str, str]:
    """Return each stage of the Dockerfile by its name."""
    parts = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].split(" AS ")[1].strip(): part for part in parts}


def role(service: str) -> str:
    """Return the stage that the service's image is built from."""
    return re.fullmatch(r"riskcast-(\w+):\$\{IMAGE_TAG:-latest\}", SERVICES[service]["image"])[1]


def environment(service: str) -> dict[str, str]:
    return SERVICES[service].get("environment", {})


def merged(*files: str) -> dict[str, dict[str, Any]]:
    """Return the services of all files, as docker-compose merges them."""
    found = {name: dict(service) for name, service in SERVICES.items()}
    for file in files:
        for name, more in yaml.safe_load((ROOT / file).read_text())["services"].items():
            for key, value in more.items():
                there = found[name].get(key, type(value)())
                joined = {**there, **value} if isinstance(value, dict) else [*there, *value]
                found[name][key] = joined
    return found
