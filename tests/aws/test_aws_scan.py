"""The scan of an image in ECR is waited for, and findings that are refused end the release."""

from __future__ import annotations

import json

import boto3
import httpx
import pytest
from tests.aws.grants import refused, role

from riskcast.core.errors import ReleaseFailed, StackError
from riskcast.rollout.proof import INDEX, scan

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/riskcast-scan/serving"
REPOSITORY = "riskcast-scan/serving"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def push(tag, **said):
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": [], **said}
    made = boto3.client("ecr").put_image(
        repositoryName=REPOSITORY,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=manifest["mediaType"],
        imageTag=tag,
    )
    return made["image"]["imageId"]["imageDigest"]


@pytest.fixture(scope="module")
def pushed(cloud):
    """An image with a finding of severity high, alone and behind an index with its attestation."""
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    linux = push("0123abc", config={"digest": "sha256:" + "1" * 64})
    ecr.start_image_scan(repositoryName=REPOSITORY, imageId={"imageTag": "0123abc"})
    parts = [
        {"mediaType": MANIFEST, "digest": linux, "platform": {"os": "linux"}},
        {"mediaType": MANIFEST, "digest": "sha256:" + "2" * 64, "platform": {"os": "unknown"}},
    ]
    push("4567def", mediaType=INDEX[0], manifests=parts)


@pytest.mark.parametrize("tag", ["0123abc", "4567def"])
def test_a_finding_is_refused_from_its_severity_on(cloud, pushed, act_as, tag):
    act_as("ci-push")
    assert scan(f"{IMAGE}:{tag}", refuse="CRITICAL") == {"HIGH": 1}
    with pytest.raises(ReleaseFailed, match="1 HIGH"):
        scan(f"{IMAGE}:{tag}", refuse="HIGH")
    made = [call for call in cloud.calls if call.role == "ci-push"]
    assert made and refused(made, role("modules/registry", "push")) == []


def test_an_image_that_is_not_there_or_not_scanned_is_named(pushed):
    with pytest.raises(ReleaseFailed, match="has no image 9999999"):
        scan(f"{IMAGE}:9999999", refuse="HIGH")
    push("89abcde", config={"digest": "sha256:" + "3" * 64})
    with pytest.raises(StackError, match="scans on push"):
        scan(f"{IMAGE}:89abcde", refuse="HIGH")


def test_a_scan_that_fails_is_no_clean_scan(cloud, pushed):
    push("fa11ed0", config={"digest": "sha256:" + "4" * 64})
    found = {
        "repositoryName": REPOSITORY, "imageId": {"imageTag": "fa11ed0"}, "registryId": "1",
        "imageScanFindings": {"findingSeverityCounts": {}},
        "imageScanStatus": {"status": "FAILED", "description": "unsupported"},
    }  # fmt: skip
    boto3.client("ecr").start_image_scan(repositoryName=REPOSITORY, imageId={"imageTag": "fa11ed0"})
    httpx.post(
        f"{cloud.url}/moto-api/static/ecr/scan-finding-results",
        json={"results": [found], "region": "us-east-1"},
    )
    with pytest.raises(ReleaseFailed, match="FAILED: unsupported"):
        scan(f"{IMAGE}:fa11ed0", refuse="CRITICAL")
