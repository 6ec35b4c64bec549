"""How S3, or a server that speaks it, is named and reached. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping

FROM_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
    "AWS_DEFAULT_REGION": "aws_region",
    "AWS_REGION": "aws_region",
    "AWS_ENDPOINT_URL": "aws_endpoint_url",
    "AWS_ENDPOINT_URL_S3": "aws_endpoint_url",
}


def is_s3(root: str) -> bool:
    """Whether the root is a bucket rather than a folder."""
    return root.startswith("s3://")


def s3_options(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the options of Delta Lake and Polars for S3, from the usual ``AWS_*`` names.

    Without keys in the environment both find the role of the machine or container themselves.
    """
    environ = os.environ if environ is None else environ
    options = {
        option: environ[name] for name, option in FROM_ENVIRONMENT.items() if environ.get(name)
    }
    # A commit is a put that fails where the object exists: no lock table is needed.
    options["aws_conditional_put"] = "etag"
    if options.get("aws_endpoint_url", "").startswith("http://"):
        options["aws_allow_http"] = "true"
    return options


def bucket_path(root: str) -> str:
    """Return ``bucket/prefix`` of ``s3://bucket/prefix``."""
    return root.removeprefix("s3://").rstrip("/")
