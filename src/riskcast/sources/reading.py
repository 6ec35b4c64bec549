"""Parquet and CSV files to typed frames, strictly: a value is exactly what it should be or refused.

Both readers leave a row's number, the CSV line or the 1-based Parquet row, beside the values so
that every later complaint can say where.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from riskcast.core.errors import SourceMalformed, SourceMissing
from riskcast.tables import Column, Kind

INSTANT = pl.Datetime("us", "UTC")
# What a CSV field of each kind must look like before it is parsed; the parsers alone would also
# take "1_000", "20180102" or "2018-1-2".
SHAPES = {
    Kind.FLOAT: r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    Kind.DATE: r"^\d{4}-\d{2}-\d{2}$",
    Kind.INSTANT: r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
}
MEANT = {
    Kind.TEXT: "text",
    Kind.FLOAT: "a number",
    Kind.DATE: "a date like 2018-12-31",
    Kind.INSTANT: "an instant with its UTC offset, like 2018-12-31T13:30:00Z",
}


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of one file and where each came from.

    Attributes
    ----------
    rows : DataFrame
        Columns in their declared types.
    path : Path or str
        The file, or what stands for one.
    place : Series
        Number of each row in the file.
    unit : {"line", "row"}
        What `place` counts.
    """

    path: Path | str
    rows: pl.DataFrame
    place: pl.Series
    unit: str

    def malformed(self, at: int, column: str, problem: str) -> SourceMalformed:
        """Return the error for the value of `column` in the frame's row `at`."""
        value = self.rows[column][at]
        said = "the value" if value is None else value
        return SourceMalformed(
            f"{self.path}, {self.unit} {self.place[at]}, column {column}: {said} {problem}"
        )


def read_csv(path: Path, columns: tuple[Column, ...], optional: tuple[Column, ...]) -> Read:
    """Read a UTF-8 CSV with a header line.

    Raises
    ------
    SourceMissing, SourceMalformed
        Naming the line, the column and the value.
    """
    header, fields, lines = _csv_fields(path)
    wanted = _present(path, header, columns, optional)
    raw = pl.DataFrame(fields, schema=dict.fromkeys(header, pl.String), orient="row")
    place = pl.Series("place", lines, dtype=pl.Int64)
    text = Read(path, raw.with_columns(pl.all().replace("", None)), place, "line")
    rows = pl.DataFrame({column.name: _parsed(text, column) for column in wanted})
    return Read(path, rows, place, "line")


def read_parquet(path: Path, columns: tuple[Column, ...], optional: tuple[Column, ...]) -> Read:
    """Read a Parquet file.

    Integers pass for numbers and midnights without a zone for dates, as pandas writes them.

    Raises
    ------
    SourceMissing, SourceMalformed
        Naming the column and its type, or the row and the value.
    """
    try:
        schema = pl.read_parquet_schema(path)
        wanted = _present(path, list(schema), columns, optional)
        raw = pl.read_parquet(path, columns=[column.name for column in wanted])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceMalformed(f"{path} cannot be read as Parquet: {error}") from error
    _not_empty(path, raw.height)
    place = pl.Series("place", range(1, raw.height + 1), dtype=pl.Int64)
    read = Read(path, raw, place, "row")
    rows = pl.DataFrame({column.name: _typed(read, column) for column in wanted})
    return Read(path, rows, place, "row")


def _csv_fields(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the fields of each row and the line each row ends on."""
    fields: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            for row in reader:
                if len(row) != len(header):
                    raise SourceMalformed(
                        f"{path}, line {reader.line_num}: {len(row)} fields where the header "
                        f"has {len(header)}"
                    )
                fields.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise SourceMalformed(f"{path}, line {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise SourceMalformed(f"{path} is not UTF-8: {error}") from error
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise SourceMalformed(f"{path}: the header repeats {', '.join(repeated)}")
    _not_empty(path, len(fields))
    return header, fields, lines


def _not_empty(path: Path, rows: int) -> None:
    if rows == 0:
        raise SourceMissing(f"{path} holds no rows")


def _present(
    path: Path, names: list[str], columns: tuple[Column, ...], optional: tuple[Column, ...]
) -> list[Column]:
    if missing := [column.name for column in columns if column.name not in names]:
        raise SourceMissing(f"{path} lacks column {', '.join(missing)}; it has {', '.join(names)}")
    return [*columns, *(column for column in optional if column.name in names)]


def _parsed(read: Read, column: Column) -> pl.Series:
    """Return a column of CSV text in its declared type."""
    text = read.rows[column.name]
    if column.kind is Kind.TEXT:
        return text
    shaped = text.str.contains(SHAPES[column.kind])
    if column.kind is Kind.FLOAT:
        values = text.cast(pl.Float64, strict=False)
    elif column.kind is Kind.DATE:
        values = text.str.to_date("%Y-%m-%d", strict=False)
    else:
        plain = text.str.replace(" ", "T", literal=True).str.replace("Z", "+00:00", literal=True)
        # Without microseconds "%.f" would choose a unit from the data.
        values = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False)
    wrong = text.is_not_null() & (~shaped | values.is_null())
    if wrong.any():
        raise read.malformed(_first(wrong), column.name, f"is not {MEANT[column.kind]}")
    return values.cast(INSTANT) if column.kind is Kind.INSTANT else values


def _typed(read: Read, column: Column) -> pl.Series:
    """Return a Parquet column in its declared type."""
    values = read.rows[column.name]
    kind, dtype = column.kind, values.dtype
    if kind is Kind.TEXT and dtype in (pl.String, pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if kind is Kind.FLOAT and (dtype.is_numeric() or dtype == pl.Null):
        return values.cast(pl.Float64)
    if kind is Kind.DATE and dtype == pl.Date:
        return values
    if kind is Kind.DATE and isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        days = values.cast(pl.Date)
        timed = days.cast(dtype) != values
        if timed.any():
            raise read.malformed(_first(timed), column.name, "has a time of day; give a date")
        return days
    if kind is Kind.INSTANT and isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return values.dt.convert_time_zone("UTC").cast(INSTANT)
    raise SourceMalformed(
        f"{read.path}, row 1, column {column.name}: {values[0]!r} is of type {dtype}, "
        f"not {MEANT[kind]}"
    )


def _first(mask: pl.Series) -> int:
    first = mask.arg_true()[0]
    return int(first)
