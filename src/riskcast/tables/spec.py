"""What a table is. Nothing here opens a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from riskcast.core.errors import DeclarationError


class Kind(StrEnum):
    """Type of a column's values."""

    TEXT = "text"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    DATE = "date"
    INSTANT = "instant"  # microseconds, UTC
    TEXTS = "texts"  # list of text
    FLOATS = "floats"  # list of float


class Layer(StrEnum):
    """How far a table is from its source."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    OUTPUT = "output"


class Write(StrEnum):
    """What a window's write does to the rows already there."""

    REPLACE = "replace"  # the window's rows become exactly the rows offered
    UPSERT = "upsert"  # rows offered are added or replace their key; others stay
    APPEND = "append"  # a ledger: rows are only ever added


@dataclass(frozen=True, slots=True)
class Column:
    """One name, one meaning, one unit, everywhere.

    Attributes
    ----------
    name, kind, doc
        `doc` states meaning and unit in one line.
    low, high : float or None
        Bounds a value must respect, inclusive; no bound where None.
    nullable : bool
        Whether a row may lack the value.
    choices : tuple of str
        The only values allowed, when not empty.
    symbols : tuple of str
        Market symbols, besides the asset, that the value is computed from. A value whose symbol
        was simulated on that row is never given to a model.
    """

    name: str
    kind: Kind
    doc: str
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    choices: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


KNOWN_AT = Column("known_at", Kind.INSTANT, "UTC instant at which the row could first be read.")
INGESTED_AT = Column(
    "ingested_at", Kind.INSTANT, "UTC instant at which it was written; bookkeeping only."
)
SOURCE = Column("source", Kind.TEXT, "Where the row comes from; 'simulated' where it is.")
COMMON = (KNOWN_AT, INGESTED_AT, SOURCE)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what its rows are, their key, and when they were known.

    Every table also carries `COMMON`: known_at, ingested_at, source.

    Attributes
    ----------
    key : tuple of str
        Columns that identify a row; unique among the rows known at any instant.
    time : str
        Column a row is about.
    vintages : bool
        Whether a key may have several rows, of which the one known last wins an as-of read.
    write : Write
        What writing a window does.
    fresh : timedelta or None
        Age at which the newest row counts as stale.
    published : bool
        Whether plain Parquet is published for other tools.
    online : bool
        Whether Feast serves it.

    Raises
    ------
    DeclarationError
        If key or time is no column, or a column is declared twice.
    """

    layer: Layer
    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str
    vintages: bool = False
    write: Write = Write.REPLACE
    fresh: timedelta | None = None
    published: bool = False
    online: bool = False
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        own = [column.name for column in self.columns]
        if len(set(own)) < len(own):
            raise DeclarationError(f"{self.name} declares a column twice")
        object.__setattr__(self, "_by_name", {c.name: c for c in self.every_column})
        for name in (*self.key, self.time):
            if name not in self._by_name:
                raise DeclarationError(f"{self.name}: key or time {name!r} is no column of it")

    @property
    def every_column(self) -> tuple[Column, ...]:
        """Own columns followed by the common ones, in the order they are stored."""
        return (*self.columns, *COMMON)

    def column(self, name: str) -> Column:
        return self._by_name[name]

    def find(self, name: str) -> Column | None:
        return self._by_name.get(name)

    @property
    def path(self) -> str:
        """Folder of the table below the lake root."""
        return f"{self.layer}/{self.name}"

    def as_of(self, *, all_vintages: bool = False) -> Read:
        return Read(self, all_vintages=all_vintages)

    def retrieved(self) -> Read:
        return Read(self, retrieved=True)


@dataclass(frozen=True, slots=True)
class Read:
    """A step's wish to read a table as of its window's end.

    `all_vintages` hands over every vintage known by then instead of the latest of each key:
    only a transform that does its own as-of join may ask for it. `retrieved` hands over the rows
    that the feature store finds at each row's own instant: what is trained on is then what is
    published and served, and a step of a product asks for it on the product's features.
    """

    table: Table
    all_vintages: bool = False
    retrieved: bool = False
