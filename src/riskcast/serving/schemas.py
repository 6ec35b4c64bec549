"""Shapes of requests and answers: what /docs shows and what is checked."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from riskcast.serving.errors import Refusal

REGIMES = ("calm", "transition", "risk_off")
MAX_BODY = 64 * 1024
Model = TypeVar("Model", bound=BaseModel)
_SHOWN = 3  # faults told at once
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _iso_date(value: Any) -> Any:
    # Pydantic alone would read "1545955200" as seconds since 1970.
    if value is not None and not (isinstance(value, str) and _ISO_DATE.fullmatch(value)):
        raise ValueError("give an ISO date such as 2018-12-28")
    return value


Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=64)]
IsoDate = Annotated[date, BeforeValidator(_iso_date)]

REQUEST_EXAMPLES = {
    "latest": {"summary": "The latest session", "value": {}},
    "replay": {
        "summary": "An earlier session, as known then",
        "value": {"as_of_date": "2018-12-20"},
    },
    "what_if": {
        "summary": "What if VIX were 40? (ln of 0.4² / 252)",
        "value": {"feature_vector": {"lvix": -7.362}},
    },
}


class PredictRequest(BaseModel):
    """A session, and values to put in place of the stored ones; both optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of_date: IsoDate | None = Field(
        None, description="Session to forecast from, ISO date; the latest one when left out."
    )
    feature_vector: Annotated[dict[Name, Finite], Field(max_length=512)] = Field(
        default_factory=dict, description="Feature name to value, in place of the stored value."
    )


class RegimeProbs(BaseModel):
    """Probabilities of the regimes; they sum to 1."""

    calm: float
    transition: float
    risk_off: float


class Driver(BaseModel):
    """A feature and its effect on the log of the forecast variance."""

    name: str
    value: float
    contribution: float
    direction: Literal["raises", "lowers"]


class ClockShown(BaseModel):
    """Which clock runs, and what it shows."""

    mode: Literal["live", "sample"]
    now: datetime


class ModelShown(BaseModel):
    """What made the forecast."""

    product: str
    version: str
    fit_end: date
    digest: str


class PredictResponse(BaseModel):
    """A forecast of realised volatility over the next five sessions."""

    as_of_date: date
    symbol: str
    rv_5d_hat: float = Field(description="sqrt of the sum of 5 squared log returns.")
    rv_5d_annualised: float = Field(description="rv_5d_hat times sqrt(252 / 5).")
    intervals: dict[str, tuple[float, float]] = Field(
        description="Level in percent to lower and upper end of rv_5d."
    )
    regime_probs: RegimeProbs
    top_drivers: list[str]
    drivers: list[Driver]
    explanation: str = Field(description="Why, in one plain sentence.")
    mode: Literal["online", "replay", "what_if"]
    in_sample: bool = Field(
        description="The model was fitted on later data: a fitted value, not a forecast."
    )
    ignored_features: list[str] = Field(description="Given, known, but not used by the model.")
    features_known_at: datetime
    clock: ClockShown
    model: ModelShown
    slot: str
    request_id: str


class PublishedForecast(BaseModel):
    """The forecast that was published for a session."""

    date: date
    symbol: str
    rv_5d_hat: float
    rv_5d_annualised: float
    intervals: dict[str, tuple[float, float]]
    regime_probs: RegimeProbs
    top_drivers: list[str]
    explanation: str | None
    model_version: str
    known_at: datetime


class HistoryResponse(BaseModel):
    """Published forecasts, oldest first."""

    predictions: list[PublishedForecast]


class Fault(BaseModel):
    """A stable code, what is wrong, and the cure."""

    code: str
    message: str
    fix: str


class ErrorResponse(BaseModel):
    """Every answer that is not 2xx."""

    error: Fault


def parse_request(body: bytes) -> PredictRequest:
    """Read a request body; an empty one asks for the latest session."""
    return parse(PredictRequest, body or b"{}")


def parse(model: type[Model], body: bytes) -> Model:
    """Read a request body.

    Raises
    ------
    Refusal
        422 invalid-request, naming field and fault but never echoing the value.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(
            f"{'.'.join(str(part)[:64] for part in fault['loc']) or 'body'}: {fault['msg'][:200]}"
            for fault in faults[:_SHOWN]
        )
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise Refusal(422, "invalid-request", told + more) from error
