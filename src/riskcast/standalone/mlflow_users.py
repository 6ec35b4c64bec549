"""Give the stack's MLflow its reader; run once after each start of the server.

``python -m riskcast.standalone.mlflow_users``. The admin comes with the server itself. The
client of MLflow is not used: importing it takes longer than all of this.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from http.client import HTTPConnection
from typing import Any

from riskcast.core import redaction
from riskcast.core.errors import RiskcastError, StackError
from riskcast.core.settings import LOOPBACK, Settings, read_settings
from riskcast.standalone.layout import (
    MLFLOW_ADMIN,
    MLFLOW_PATH,
    MLFLOW_READER,
    Layout,
    mlflow_password,
)


def ensure_reader(settings: Settings) -> None:
    """Create the user that may read every experiment and model and change none.

    Its password is set anew, so that one whose file was replaced can log in.

    Raises
    ------
    StackError
        If MLflow refuses the admin's password or the user.
    """
    reader = {
        "username": MLFLOW_READER,
        "password": mlflow_password(Layout.of(settings), MLFLOW_READER),
    }
    status, said = _ask(settings, "POST", "create", reader)
    if status == 400 and said.get("error_code") == "RESOURCE_ALREADY_EXISTS":
        status, said = _ask(settings, "PATCH", "update-password", reader)
    if status == 401:
        raise StackError(
            "MLflow refuses the password in keys/mlflow-admin; put back the one it was made with"
        )
    if status != 200:
        raise StackError(f"MLflow answers {status} to a new user: {said.get('message', '')}")


def _ask(
    settings: Settings, method: str, what: str, body: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    password = mlflow_password(Layout.of(settings), MLFLOW_ADMIN)
    login = b64encode(f"{MLFLOW_ADMIN}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    connection = HTTPConnection(LOOPBACK, int(settings.mlflow_port), timeout=30)
    path = f"{MLFLOW_PATH}/api/2.0/mlflow/users/{what}"
    try:
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    except OSError as error:
        raise StackError(f"MLflow does not answer: {error}; see `riskcast logs mlflow`") from error
    finally:
        connection.close()
    is_json = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(content) if is_json and content else {}


if __name__ == "__main__":
    redaction.install()
    try:
        ensure_reader(read_settings())
    except RiskcastError as error:
        sys.exit(redaction.redact(f"{error.code}: {error}"))
