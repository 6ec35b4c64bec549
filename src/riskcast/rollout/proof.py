"""What an image must show before and after it serves: findings of its scan, answers of /predict."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from riskcast.core.clock import seconds
from riskcast.core.errors import ReleaseFailed, StackError
from riskcast.rollout.checks import Answer, malformed
from riskcast.routing.base import SLOT_HEADER

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
INDEX = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
WAITS = ("PENDING", "IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class Smoke:
    """How a handful of requests fared.

    Attributes
    ----------
    slots : tuple of str
        Colours that answered.
    p95_seconds : float
        95th percentile of the time an answer took, as the caller has it.
    """

    requests: int
    slots: tuple[str, ...]
    p95_seconds: float


def smoke(url: str, key: str, *, requests: int, budget: float) -> Smoke:
    """Ask `/predict` for the latest session, one request after another.

    Raises
    ------
    ReleaseFailed
        If any answer is no sound forecast, or the 95th percentile of their time is above `budget`
        seconds.
    """
    answers, slots = [], set()
    with httpx.Client(timeout=max(10.0, 4 * budget), trust_env=False) as client:
        for _ in range(requests):
            answer, slot = _asked(client, url, key)
            answers.append(answer)
            slots.add(slot)
    wrong = [why for answer in answers if (why := malformed(answer))]
    if wrong:
        raise ReleaseFailed(f"{len(wrong)} of {requests} answers of {url}/predict: {wrong[0]}")
    # The first one opens the connection, which is no matter of the server's.
    p95 = float(np.percentile([answer.seconds for answer in answers[1:] or answers], 95))
    if p95 > budget:
        raise ReleaseFailed(
            f"{url}/predict took {p95 * 1e3:.0f} ms (p95 of {requests}), above {budget * 1e3:.0f}"
        )
    return Smoke(requests, tuple(sorted(slots)), p95)


def _asked(client: httpx.Client, url: str, key: str) -> tuple[Answer, str]:
    started = seconds()
    try:
        said = client.post(f"{url}/predict", json={}, headers={"X-API-Key": key})
    except httpx.HTTPError:
        return Answer(0, seconds() - started), ""
    took = seconds() - started
    try:
        body = said.json()
    except ValueError:
        body = {}
    return Answer(said.status_code, took, body), said.headers.get(SLOT_HEADER, "")


def scan(image: str, *, refuse: str, patience: float = 600.0) -> Mapping[str, int]:
    """Wait for ECR's scan of an image and return how many findings there are, by severity.

    Parameters
    ----------
    image : str
        ``registry/repository:tag``. Of an index, ECR scans what it points to: the Linux image is
        looked at, not what attests to it.
    refuse : {"CRITICAL", "HIGH", "MEDIUM", "LOW"}
        The least severity that is refused.

    Raises
    ------
    ReleaseFailed
        If there is no such image, its scan fails, or it has a finding that is refused.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    repository, _, tag = image.partition("/")[2].rpartition(":")
    ecr = boto3.client("ecr")
    try:
        wanted = _scanned(ecr, repository, tag)
        counts = _counts(ecr, repository, wanted, patience)
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"could not read the scan of {image}: {error}; the repository scans on push, and the "
            "role of CI may read findings (terraform/modules/registry)"
        ) from error
    refused = SEVERITIES[: SEVERITIES.index(refuse) + 1]
    found = {name: counts[name] for name in refused if counts.get(name)}
    if found:
        told = ", ".join(f"{count} {name}" for name, count in found.items())
        raise ReleaseFailed(f"{image} has findings: {told}; mend the image, or its base")
    return counts


def _scanned(ecr: Any, repository: str, tag: str) -> dict[str, str]:
    said = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    if not said["images"]:
        raise ReleaseFailed(f"{repository} has no image {tag}: {said['failures']}")
    (image,) = said["images"]
    manifest = json.loads(image["imageManifest"])
    if manifest.get("mediaType") not in INDEX:
        return {"imageTag": tag}
    parts: Sequence[Mapping[str, Any]] = manifest["manifests"]
    linux = [p["digest"] for p in parts if p.get("platform", {}).get("os") == "linux"]
    if len(linux) != 1:
        raise ReleaseFailed(f"{repository}:{tag} points to {len(linux)} Linux images; build one")
    return {"imageDigest": linux[0]}


def _counts(ecr: Any, repository: str, wanted: dict[str, str], patience: float) -> dict[str, int]:
    until = seconds() + patience
    while True:
        said = ecr.describe_image_scan_findings(repositoryName=repository, imageId=wanted)
        status = said["imageScanStatus"]["status"]
        if status not in WAITS:
            break
        if seconds() > until:
            raise ReleaseFailed(f"the scan of {repository} did not end in {patience:g} s")
        time.sleep(5.0)
    if status != "COMPLETE":
        told = said["imageScanStatus"].get("description", "")
        raise ReleaseFailed(f"the scan of {repository} ended with {status}: {told}")
    return dict(said["imageScanFindings"].get("findingSeverityCounts", {}))
