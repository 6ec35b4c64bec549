"""Rows that turn up after the run they belonged to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from riskcast.core.window import Window


def with_late_arrivals(
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    window: Window,
    *,
    group: str,
    payload: Sequence[str],
    at: Literal["release_datetime", "known_at"],
) -> pl.DataFrame:
    """Return the window's rows, and earlier ones that the lake should have and has not.

    A row that belongs to an earlier window but was not there when that window ran was first read
    now: it becomes known at the window's end, so neither is it lost nor does the past change.
    History from before the lake began to follow a series or event is not late but never asked
    for, and stays out.

    Parameters
    ----------
    fetched : DataFrame
        Rows by their official known_at, from some time before the window up to its end.
    stored : DataFrame
        Rows of the same table known by the window's end.
    group : str
        Column that names what is followed.
    payload : sequence of str
        Columns that make two rows the same news; `group` is one of them.
    at : {"release_datetime", "known_at"}
        Instant that orders two rows of the same payload, set with known_at where a row is late:
        a value that returns to an earlier one is news again.
    """
    inside = fetched.filter(
        (pl.col("known_at") > window.start) & (pl.col("known_at") <= window.end)
    )
    followed = stored.group_by(group).agg(pl.col("known_at").min().alias("since"))
    earlier = (
        fetched.filter(pl.col("known_at") <= window.start)
        .join(followed, on=group)
        .filter(pl.col("known_at") >= pl.col("since"))
        .drop("since")
    )
    have = (
        stored.select(*payload, pl.col(at).alias("have"))
        .group_by(payload)
        .agg(pl.col("have").max())
    )
    missing = earlier.join(have, on=list(payload), how="left").filter(
        pl.col("have").is_null() | (pl.col("have") < pl.col(at))
    )
    end = pl.lit(window.end).cast(fetched.schema["known_at"])
    late = (
        missing.sort(at)
        # Of several missed revisions of a value the last one is what is known now.
        .unique([name for name in payload if name != "value"], keep="last", maintain_order=True)
        .with_columns(end.alias(name) for name in dict.fromkeys(("known_at", at)))
        .select(fetched.columns)
    )
    return pl.concat([inside, late])
