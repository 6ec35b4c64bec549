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
    """Return what a fetch adds to the rows stored.

    A row of the window that was never stored keeps its known_at. A row that belongs to an earlier
    window but was not there when that window ran, and one stored with another value, was first
    read now: it becomes known at the window's end, so neither is it lost nor does the past change.
    History from before the lake began to follow a series or event is not late but never asked
    for, and stays out.

    Only a run at the head of the table learns what is late or revised: what a source says today
    is no news of the past. There, a window that was run before is closed to what was followed
    then; one that was never run, and series or events that came later, are filled with what was
    on time.

    Parameters
    ----------
    fetched : DataFrame
        Rows by their official known_at, from some time before the window up to its end.
    stored : DataFrame
        Every row of the same table, those known after the window's end included.
    group : str
        Column that names what is followed.
    payload : sequence of str
        Columns that make two rows the same news; `group` is one of them.
    at : {"release_datetime", "known_at"}
        Instant that orders two rows of the same payload, set with known_at where a row is late:
        a value that returns to an earlier one is news again.
    """
    about = [name for name in payload if name != "value"]
    followed = stored.group_by(group).agg(pl.col("known_at").min().alias("since"))
    have = stored.group_by(payload).agg(pl.col(at).max().alias("have"))
    other = stored.select(*about, at).unique().with_columns(is_stored=pl.lit(value=True))
    news = (
        fetched.join(have, on=list(payload), how="left")
        .filter(pl.col("have").is_null() | (pl.col("have") < pl.col(at)))
        .join(other, on=[*about, at], how="left")
        .join(followed, on=group, how="left")
    )
    revised = pl.col("is_stored").fill_null(value=False)
    inside = (pl.col("known_at") > window.start) & (pl.col("known_at") <= window.end)
    missed = (pl.col("known_at") <= window.start) & (pl.col("known_at") >= pl.col("since"))
    on_time = news.filter(inside & ~revised)
    if stored.filter(pl.col("known_at") > window.end).height:
        was_run = stored.filter(inside).height > 0
        closed = (pl.col("since") <= window.end).fill_null(value=False) & was_run
        return on_time.filter(~closed).select(fetched.columns)
    end = pl.lit(window.end).cast(fetched.schema["known_at"])
    late = (
        news.filter(missed.fill_null(value=False) | (inside & revised))
        .sort(at)
        # Of several missed revisions of a value the last one is what is known now.
        .unique(about, keep="last", maintain_order=True)
        .with_columns(end.alias(name) for name in dict.fromkeys(("known_at", at)))
    )
    return pl.concat([on_time, late]).select(fetched.columns)
