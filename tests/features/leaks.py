"""The structural check for look-ahead, for every function of time-stamped frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

Build = Callable[..., pl.DataFrame]


def assert_no_lookahead(
    build: Build,
    frames: Mapping[str, pl.DataFrame],
    *,
    time: str = "date",
    cuts: Iterable[Any] | None = None,
    perturb_every: int = 8,
) -> None:
    """Assert that no row of ``build(**frames)`` depends on input of a later time, to the bit.

    At each cut every input is once truncated after it and, at each `perturb_every`-th cut, once
    kept but with all later numbers replaced; all output rows up to the cut must stay as they are,
    and as many. Comparing only the rows that come back would let a centred window pass.

    Parameters
    ----------
    time : str
        Column, in every input and in the output, by which rows are cut: "date" for rows about a
        session, "known_at" for rows that become known later than the session they are about.
    cuts : iterable, optional
        Times to cut at; default every time that occurs in the first input.

    Raises
    ------
    AssertionError
        Naming the cut and the columns that change.
    """
    whole = build(**frames)
    times = next(iter(frames.values()))[time].unique().sort().to_list() if cuts is None else cuts
    for number, cut in enumerate(times):
        now = whole.filter(pl.col(time) <= cut)
        truncated = {name: frame.filter(pl.col(time) <= cut) for name, frame in frames.items()}
        _assert_same(now, build(**truncated), f"rows after {cut} are removed")
        if number % perturb_every == 0:
            other = {name: _perturbed(frame, time, cut) for name, frame in frames.items()}
            then = build(**other).filter(pl.col(time) <= cut)
            _assert_same(now, then, f"values after {cut} are replaced")


def _perturbed(frame: pl.DataFrame, time: str, cut: Any) -> pl.DataFrame:
    """Return the frame with every later number multiplied by a random factor."""
    factor = np.exp(np.random.default_rng(7).normal(0.0, 0.5, frame.height))
    later = pl.when(pl.col(time) > cut).then(pl.Series(factor)).otherwise(1.0)
    return frame.with_columns(cs.float() * later)


def _assert_same(now: pl.DataFrame, then: pl.DataFrame, what: str) -> None:
    if then.height != now.height:
        raise AssertionError(f"{now.height} rows become {then.height} when {what}")
    changed = [name for name in now.columns if not now[name].equals(then[name], null_equal=True)]
    if changed:
        raise AssertionError(f"{changed} change when {what}")
