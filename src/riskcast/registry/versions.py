"""What the registry says of a version, and what it hands out of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from riskcast.core.errors import ArtifactRefused
from riskcast.models.served import ServedModel

GOLDEN, VERDICT = "golden.json", "verdict.json"
JUDGED = ("verdict", "reason", "as_of")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified model and what the registry says of it.

    Attributes
    ----------
    golden : tuple of mapping
        Requests and the answers that the training process computed, sealed with the model.
    verdict : mapping
        The gate's ``verdict`` and ``reason`` and the instant it was judged as of, sealed with the
        model; empty if it was registered without. The tags of these names are there to be read.
    """

    model: ServedModel
    version: str
    digest: str
    tags: Mapping[str, str]
    golden: tuple[Mapping[str, Any], ...] = ()
    verdict: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version, without its files.

    Attributes
    ----------
    created_at : float
        Seconds since the epoch.
    stage : str
        MLflow's legacy stage: None, Staging, Production or Archived.
    """

    version: str
    run_id: str
    digest: str
    created_at: float
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    stage: str = "None"


def read_golden(content: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return the requests recorded with a model; raise ArtifactRefused if they are none."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"{GOLDEN} is no JSON: {error}") from error
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        raise ArtifactRefused(f"{GOLDEN} is no list of requests")
    return tuple(said)


def read_verdict(content: bytes) -> Mapping[str, str]:
    """Return the verdict sealed with a model; raise ArtifactRefused if it is none."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"{VERDICT} is no JSON: {error}") from error
    if not isinstance(said, dict) or not all(isinstance(each, str) for each in said.values()):
        raise ArtifactRefused(f"{VERDICT} is no verdict")
    return said


def described(found: Any, aliases: Mapping[str, str], metrics: Mapping[str, float]) -> ModelVersion:
    """Return what MLflow says of a version; `aliases` are those of all versions."""
    version = str(found.version)
    return ModelVersion(
        version=version,
        run_id=found.run_id,
        digest=found.tags.get("digest", ""),
        created_at=found.creation_timestamp / 1000,
        aliases=tuple(sorted(a for a, v in aliases.items() if str(v) == version)),
        tags=dict(found.tags),
        metrics=dict(metrics),
        stage=found.current_stage or "None",
    )
