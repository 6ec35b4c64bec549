"""What the API says when it does not answer: a status, a stable code, a reason and a cure."""

from __future__ import annotations

from riskcast.core.errors import NoSuchSession, NotReady, RiskcastError, ServingError
from riskcast.core.redaction import redact

_DOCS = "See /docs for the shape of a request."
_FIXES = {
    "feature-missing": "Give the value in feature_vector, or run the features pipeline for the "
    "session.",
    "feature-stale": "Run the features pipeline for the sessions since.",
    "feature-unknown": "Correct the name; GET /debug/model-info lists the features in use.",
    "no-such-session": "Ask for the date named, or leave as_of_date out for the latest session.",
    "not-ready": "GET /ready gives the reasons; train and promote a model if there is none.",
    "spool-failed": "Ask again when the server's disk can be written; GET /ready says when.",
    "invalid-request": _DOCS,
}


class Refusal(ServingError):
    """A request that is answered with a named 4xx or 503.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable name of the fault.
    message, fix : str
        What is wrong with which value, and the cure.
    """

    def __init__(self, status: int, code: str, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.fix = status, code, fix


def described(error: RiskcastError) -> tuple[int, str, str, str]:
    """Return status, code, message and fix of an error; 503 where the fault is not the caller's."""
    if isinstance(error, NoSuchSession):
        status = 422
    elif isinstance(error, ServingError):
        status = error.status
    else:
        status = NotReady.status
    fix = getattr(error, "fix", "") or _FIXES.get(error.code, "Ask again; the log has the details.")
    return status, error.code, redact(str(error)), fix
