"""moto's server on loopback, which writes down who asked for what.

A role's access key is its name, so every request says who made it, whatever library or process
sent it: boto3, Delta Lake, Arrow, Airflow.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/aws4_request")
PREFIX = {"monitoring": "cloudwatch", "email": "ses"}
FORM = "application/x-www-form-urlencoded"
# What an action of IAM is called where the request's own name is another.
RENAMED = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "dynamodb:DescribeEndpoints": "dynamodb:DescribeTable",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: by whom, which action of IAM, and on what where it is an object of S3."""

    role: str
    action: str
    key: str = ""


class Recorder:
    """The server with all it was asked, oldest first."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._listen, threaded=True, request_handler=MotoRequestHandler
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, role: str) -> dict[str, str]:
        """Return how a process of the role reaches this server."""
        return {
            "AWS_ACCESS_KEY_ID": role,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self) -> None:
        self._server.shutdown()

    def by(self, role: str) -> set[str]:
        """Return the actions a role has used."""
        return {call.action for call in self.calls if call.role == role}

    def _listen(self, environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        self.calls += calls(environ)
        return self._app(environ, respond)


def calls(environ: dict[str, Any]) -> list[Call]:
    """Return what a request asks for; none where it is not signed."""
    signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return []
    role, service = signed[1], PREFIX.get(signed[2], signed[2])
    if service == "s3":
        return [Call(role, RENAMED.get(a, a), key) for a, key in _s3(environ)]
    action = f"{service}:{_operation(environ)}"
    return [Call(role, RENAMED.get(action, action))]


def _operation(environ: dict[str, Any]) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    if environ["PATH_INFO"] == "/v2/email/outbound-emails":
        return "SendRawEmail"  # what SES v2 asks for where the message is a whole one
    if "/operation/" in environ["PATH_INFO"]:
        return str(environ["PATH_INFO"]).rpartition("/")[2]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return parse_qs(body.decode("utf-8", "replace")).get("Action", ["?"])[0]


def _s3(environ: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(action, key) of a request with the bucket in its path."""
    method, query = environ["REQUEST_METHOD"], parse_qs(environ["QUERY_STRING"], True)
    _, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    if not key:
        if method == "POST" and "delete" in query:
            yield "s3:DeleteObject", "*"
        elif method in ("GET", "HEAD"):
            yield "s3:ListBucket", query.get("prefix", [""])[0]
        else:
            yield f"s3:{method.title()}Bucket", ""
        return
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        yield "s3:GetObject", unquote(source).lstrip("/").partition("/")[2]
    if method == "DELETE":
        yield ("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"), key
    else:
        yield ("s3:GetObject" if method in ("GET", "HEAD") else "s3:PutObject"), key
