"""How a version lies in MLflow: written for the UI and for serving, fetched for serving only.

``model/data/`` holds the sealed files, all that is ever read back. ``model/MLmodel`` and
``model/input_example.json`` beside it, and the files of ``report/``, are what MLflow's UI shows.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from riskcast.core.errors import ArtifactRefused
from riskcast.models.served import ServedModel
from riskcast.registry import artifact

FOLDER, DATA, REPORT = "model", "data", "report"
OUTPUTS = ("rv_5d_hat", "p_calm", "p_transition", "p_risk_off")


def write(
    folder: Path,
    model: ServedModel,
    sealed: Mapping[str, bytes],
    lineage: Mapping[str, Any],
    example: Mapping[str, float] | None,
    artifacts: Mapping[str, bytes] | None = None,
) -> None:
    """Write a run's artifacts into an empty folder."""
    from mlflow.models import Model

    data = folder / FOLDER / DATA
    data.mkdir(parents=True)
    for name, content in sealed.items():
        (data / name).write_bytes(content)
    if artifacts:
        (folder / REPORT).mkdir()
    for name, content in (artifacts or {}).items():
        (folder / REPORT / Path(name).name).write_bytes(content)
    (folder / "lineage.json").write_text(json.dumps(lineage, indent=1, sort_keys=True))
    shown = Model(
        # A flavor of our own: MLflow's loaders refuse the folder instead of running anything.
        flavors={"riskcast": {"data": DATA, "digest": artifact.digest(sealed)}},
        signature=_signature(model),
    )
    if example is not None:
        row = {"columns": list(example), "data": [list(example.values())]}
        (folder / FOLDER / "input_example.json").write_text(json.dumps(row))
        shown.saved_input_example_info = {
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        }
    shown.save(folder / FOLDER / "MLmodel")


def fetch(source: str, tracking_uri: str) -> dict[str, bytes]:
    """Return the sealed files of a version; names and sizes are checked before any is fetched.

    Raises
    ------
    ArtifactRefused
        If they cannot be the files of a sealed model.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.utils.file_utils import local_file_uri_to_path

    uri = f"{source.rstrip('/')}/{DATA}"
    if uri.startswith(("file:", "/")):
        # Read in place: a copy would have followed links.
        return artifact.read_folder(Path(local_file_uri_to_path(uri)))
    repository = get_artifact_repository(uri, tracking_uri, tracking_uri)
    listed = repository.list_artifacts()
    if folders := [found.path for found in listed if found.is_dir]:
        raise ArtifactRefused(f"{folders} at {uri}: a sealed model has no folders")
    artifact.check_listing({found.path: found.file_size or 0 for found in listed})
    with tempfile.TemporaryDirectory() as folder:
        repository.download_artifacts("", folder)
        return artifact.read_folder(Path(folder))


def _signature(model: ServedModel) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = dict.fromkeys((*model.columns, *model.thresholds))
    return ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in inputs]),
        outputs=Schema([ColSpec("double", name) for name in OUTPUTS]),
    )
