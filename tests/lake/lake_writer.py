"""Writes in processes of their own, for tests that kill, race or starve a writer.

``lake_writer.py nursery`` imports everything once and forks a writer for each line on stdin, before
any thread of Polars or Delta Lake has started: forking later would deadlock the child.
``lake_writer.py race ROOT WHO COMMITS`` waits for a line, then writes that many rows of its own
and that many that every writer writes, one by one, to each table.
``lake_writer.py once ROOT GENERATION`` writes one generation of the first table.
"""

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl

from riskcast.core.errors import LakeError
from riskcast.core.window import Window
from riskcast.lake import DeltaLake
from riskcast.tables import Column, Kind, Layer, Table, Write

ROWS = 5_000
APART = 1_000  # between the first rows of two writers
SHARED = 9_000  # first row that every writer writes


def _table(write: Write) -> Table:
    return Table(
        Layer.BRONZE,
        f"ticks_{write}",
        "Rows of a writer under test.",
        columns=(
            Column("id", Kind.INT, "Row."),
            Column("date", Kind.DATE, "Day."),
            Column("generation", Kind.INT, "Write that made the row."),
            Column("value", Kind.FLOAT, "Anything."),
        ),
        key=("id",),
        time="date",
        write=write,
    )


TABLES = {write: _table(write) for write in Write}
ALWAYS = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def rows(first: int, last: int, generation: int) -> pl.DataFrame:
    known = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(minutes=i) for i in range(first, last)]
    return pl.DataFrame(
        {
            "id": range(first, last),
            "date": [date(2018, 1, 1)] * (last - first),
            "generation": [generation] * (last - first),
            "value": [float(i * generation) for i in range(first, last)],
            "known_at": known,
            "source": ["test"] * (last - first),
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )


def generation_rows(write: Write, generation: int) -> pl.DataFrame:
    """What the writer of that generation offers: new values, or for a ledger new keys."""
    if write == Write.APPEND:
        return rows(generation * ROWS, (generation + 1) * ROWS, generation)
    return rows(0, ROWS, generation)


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def nursery() -> None:
    for line in sys.stdin:
        if line == "reap\n":
            _, status = os.wait()
            say("died" if os.WIFSIGNALED(status) else "done")
            continue
        order = json.loads(line)
        if os.fork():
            continue
        write = Write(order["write"])
        lake = DeltaLake(order["root"])
        offered = generation_rows(write, order["generation"])
        say(os.getpid())
        lake.write(TABLES[write], offered, ALWAYS)
        os._exit(0)


def race(root: str, who: int, commits: int) -> None:
    say("ready")
    sys.stdin.readline()
    lake = DeltaLake(root)
    for commit in range(commits):
        for row in (who * APART + commit, SHARED + commit):
            offered = rows(row, row + 1, 1)
            known = offered["known_at"][0]
            for table in TABLES.values():
                lake.write(table, offered, Window(known - timedelta(seconds=1), known))


def once(root: str, generation: int) -> None:
    try:
        DeltaLake(root).write(
            TABLES[Write.REPLACE], generation_rows(Write.REPLACE, generation), ALWAYS
        )
    except LakeError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["nursery"]:
            nursery()
        case ["race", root, who, commits]:
            race(root, int(who), int(commits))
        case ["once", root, generation]:
            once(root, int(generation))
