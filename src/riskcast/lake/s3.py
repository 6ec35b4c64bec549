"""Arrow's client for S3. It and Delta Lake name the same things apart."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pyarrow import fs

from riskcast.core.s3 import bucket_path, is_s3, s3_options

__all__ = ["bucket_path", "filesystem", "is_s3", "s3_options"]


def filesystem(options: Mapping[str, str]) -> fs.S3FileSystem:
    """Return Arrow's client for the same place as `s3_options`."""
    endpoint = urlsplit(options.get("aws_endpoint_url", ""))
    return fs.S3FileSystem(
        access_key=options.get("aws_access_key_id"),
        secret_key=options.get("aws_secret_access_key"),
        session_token=options.get("aws_session_token"),
        region=options.get("aws_region"),
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
    )
