"""Take the answers that model servers recorded to the lake."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl

from riskcast.core.errors import SpoolMalformed
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.lake.arrow import DTYPES
from riskcast.tables import Kind
from riskcast.tables.output import PREDICTIONS_LOG

SEGMENTS = "*/*.jsonl"
AT_ONCE = 200  # segments held open
AS_TEXT = {Kind.DATE: pl.String(), Kind.INSTANT: pl.String()}
log = logging.getLogger(__name__)


def drain_predictions(*, lake: Lake, settings: Settings) -> None:
    """Append every sealed segment of every slot to `predictions_log`, then remove it.

    A segment whose server lives and still writes is left for the next time. Of answers with one
    id the newest is kept: nginx asks the other colour again when one dies, and the client saw
    the later answer. Stopped anywhere, a second run finishes the work without a row twice.

    Raises
    ------
    SpoolMalformed
        If a segment holds a whole line that is no answer; the other segments are drained first.
    """
    segments = sorted(settings.spool_path.glob(SEGMENTS))
    faults: list[str] = []
    for i in range(0, len(segments), AT_ONCE):
        faults += _drain(lake, segments[i : i + AT_ONCE])
    if faults:
        raise SpoolMalformed(
            f"{len(faults)} segments hold lines that are no answers, first {faults[0]:.500}; "
            "mend the line or move the file away"
        )


def _drain(lake: Lake, segments: list[Path]) -> list[str]:
    """Drain what is not being written; return what is wrong with the segments left behind."""
    taken: dict[Path, pl.DataFrame] = {}
    faults = []
    with ExitStack() as held:
        for path in segments:
            file = held.enter_context(_locked(path))
            if file is None:
                continue
            try:
                taken[path] = _answers(path, file)
            except (pl.exceptions.PolarsError, SpoolMalformed) as error:
                faults.append(f"{path}: {error}")
        rows = [frame for frame in taken.values() if frame.height]
        if rows:
            _append(lake, pl.concat(rows))
        for path in taken:
            path.unlink(missing_ok=True)
    log.info("%d answers drained from %d segments", sum(map(len, rows)), len(taken))
    return faults


def _append(lake: Lake, rows: pl.DataFrame) -> None:
    rows = rows.sort("at").unique(PREDICTIONS_LOG.key, keep="last", maintain_order=True)
    # Not the run's window: an answer is known when it was given, by the wall clock, whatever day
    # the run is for.
    first, last = rows["known_at"].min(), rows["known_at"].max()
    window = Window(first - timedelta(microseconds=1), last)  # type: ignore[operator,arg-type]
    lake.write(PREDICTIONS_LOG, rows, window)


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Give the segment open and locked, None if a server or another drain holds it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # another drain was faster
        yield None
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file
    finally:
        os.close(file)


def _answers(path: Path, file: int) -> pl.DataFrame:
    """Return the rows of a segment; an unfinished last line was never answered and is left out."""
    with os.fdopen(os.dup(file), "rb") as segment:
        content = segment.read()
    whole, _, torn = content.rpartition(b"\n")
    if torn:
        log.warning("%s ends in an unfinished line of %d bytes", path, len(torn))
    own = {c.name: AS_TEXT.get(c.kind, DTYPES[c.kind]) for c in PREDICTIONS_LOG.columns}
    rows = pl.read_ndjson(whole, schema=own) if whole else pl.DataFrame(schema=own)
    if any(rows.null_count().row(0)):
        raise SpoolMalformed("a line lacks a value")
    return rows.with_columns(
        pl.col("at").str.to_datetime("%+", time_unit="us", time_zone="UTC"),
        pl.col("as_of_date").str.to_date("%F"),
        pl.lit("api").alias("source"),
    ).with_columns(pl.col("at").alias("known_at"))
