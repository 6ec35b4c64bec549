"""Availability as a client has it: of the probes of `/predict`, how many the right model answered.

Pure. Beside the plain share the lower bound is given in which time without any probe counts as
down: silence is no proof of service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

PROMISE = 0.99
EVERY = timedelta(minutes=5)  # time that one probe speaks for
GRACE = timedelta(seconds=60)  # after a move, answers of the version before are still right
MOVES = ("promote", "rollback", "move", "canary", "flip", "abort")
BOTH = ("canary", "flip")  # from these moves to the next, either version may answer


@dataclass(frozen=True, slots=True)
class Availability:
    """How available a product was over a span.

    Attributes
    ----------
    probes, good : int
        Requests, and those answered 200 by a version that the ledger says was in traffic then.
    failed, misplaced : int
        Probes without a 200; probes that another version answered.
    share : float
        Good probes among all; 0 without any.
    covered : float
        Share of the span's intervals that have a probe.
    lower_bound : float
        Mean over the span's intervals of the good share, 0 where none was probed.
    promise : float
    """

    probes: int
    good: int
    failed: int
    misplaced: int
    share: float
    covered: float
    lower_bound: float
    promise: float = PROMISE

    @property
    def kept(self) -> bool:
        """Whether the promise was kept, unprobed time counted against it."""
        return self.lower_bound >= self.promise


def availability(
    probes: pl.DataFrame,
    ledger: pl.DataFrame,
    start: datetime,
    end: datetime,
    *,
    every: timedelta = EVERY,
    promise: float = PROMISE,
) -> Availability:
    """Judge the probes of the span from `start` to before `end`.

    Parameters
    ----------
    probes : DataFrame
        ``at`` (UTC instant), ``status``, ``version`` (empty where nobody answered).
    ledger : DataFrame
        The product's rows of `deployments`.
    every : timedelta
        Length of an interval.

    Raises
    ------
    ValueError
        If the span is empty.
    """
    intervals = -((start - end) // every)  # rounded up: a last, shorter one counts
    if intervals <= 0:
        raise ValueError(f"no time lies between {start} and {end}")
    judged = _judge(probes.filter(pl.col("at").is_between(start, end, closed="left")), ledger)
    index = (pl.col("at") - start).dt.total_microseconds() // (every // timedelta(microseconds=1))
    shares = judged.group_by(index.alias("interval")).agg(pl.col("good").mean())["good"]
    good = int(judged["good"].sum())
    failed = judged.filter(pl.col("status") != 200).height
    return Availability(
        probes=judged.height,
        good=good,
        failed=failed,
        misplaced=judged.height - good - failed,
        share=good / judged.height if judged.height else 0.0,
        covered=len(shares) / intervals,
        lower_bound=float(shares.sum()) / intervals,
        promise=promise,
    )


def probes_of(entries: Iterable[Mapping[str, Any]], product: str) -> pl.DataFrame:
    """Return a product's requests in nginx's access log as probes; 4xx are the client's doing."""
    return pl.DataFrame(
        [
            {
                "at": datetime.fromtimestamp(entry["ended"], UTC),
                "status": int(entry["status"]),
                "version": str(entry["model"]).partition("/")[2],
            }
            for entry in entries
            if entry["routed"] == product
            and entry["path"] == "/predict"
            and not 400 <= int(entry["status"]) < 500
        ],
        schema={"at": pl.Datetime("us", "UTC"), "status": pl.Int64, "version": pl.String},
    )


def _judge(probes: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    moves = (
        ledger.filter(pl.col("action").is_in(MOVES))
        .select(pl.col("at").alias("moved"), "action", "model_version", "previous")
        .sort("moved")
    )
    known = probes.sort("at").join_asof(moves, left_on="at", right_on="moved", strategy="backward")
    shared = pl.col("action").is_in(BOTH) | (pl.col("at") - pl.col("moved") <= GRACE)
    right = (pl.col("version") == pl.col("model_version")) | (
        shared & (pl.col("version") == pl.col("previous"))
    )
    return known.with_columns(good=((pl.col("status") == 200) & right).fill_null(value=False))
