"""Great Expectations suites from the declarations, and what they find in rows.

A write is checked by Polars in milliseconds (`riskcast.lake.contract`). These suites judge what no
single write shows, completeness and plausibility, and are what the data docs are made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from riskcast.lake.contract import ROUNDING, identity
from riskcast.tables import Kind, Table
from riskcast.tables.silver import MACRO_ALIGNED, MARKET_DAILY
from riskcast.tables.spec import INGESTED_AT

CALENDAR = f"{MARKET_DAILY.name} on sessions"
MOST_MOVED = 0.4  # as a log return; the exchange halts trading of the index at -20%
OLDEST_RELEASE_DAYS = 10.0  # daily rates are released every business day
SHOWN = 5
NUMERIC = (Kind.FLOAT, Kind.INT)


@dataclass(frozen=True, slots=True)
class Suite:
    """Expectations on rows of one shape.

    Attributes
    ----------
    key : tuple of str
        Columns that name a row in what is found.
    """

    name: str
    key: tuple[str, ...]
    expectations: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in the rows of one suite.

    Attributes
    ----------
    broken : int
        Rows that break the rule; 1 for a rule about the whole table.
    first : str
        The first of them in words, empty if none.
    """

    suite: str
    rule: str
    rows: int
    broken: int
    first: str

    @property
    def passed(self) -> bool:
        return self.broken == 0


def declared_suite(table: Table) -> Suite:
    """Return the suite that follows from a declaration alone."""
    return Suite(table.name, identity(table), tuple(_declared(table)))


def market_suite() -> Suite:
    """Return the suite of `market_measures`: the declaration, sane bars, believable moves."""
    return _extended(
        MARKET_DAILY,
        _most("beyond_high", ROUNDING, "open and close are not above the high of a traded bar"),
        _most("beyond_low", ROUNDING, "open and close are not below the low of a traded bar"),
        _most("move", MOST_MOVED, f"a traded price moves by less than {MOST_MOVED:.0%} a session"),
    )


def macro_suite() -> Suite:
    """Return the suite of `macro_measures`: the declaration, and that releases keep coming."""
    rule = f"the newest macro release is at most {OLDEST_RELEASE_DAYS:g} days old"
    return _extended(MACRO_ALIGNED, _most("release_age_days", OLDEST_RELEASE_DAYS, rule))


def calendar_suite() -> Suite:
    """Return the suite of `calendar_measures`: a bar of each required symbol on each session."""
    rule = "each session has a bar of each required symbol"
    return Suite(CALENDAR, ("symbol", "date"), (_between("bars", 1, 1, rule),))


def audit(suites: Iterable[tuple[Suite, pl.DataFrame]], site: Path | None = None) -> list[Finding]:
    """Judge each frame by its suite; return what every rule found.

    Parameters
    ----------
    site : Path, optional
        Folder in which Great Expectations builds its data docs of the judgement.
    """
    import great_expectations as gx

    context = _context(site)
    source = context.data_sources.add_pandas("lake")
    findings: list[Finding] = []
    for suite, frame in suites:
        asset = source.add_dataframe_asset(suite.name)
        batch = asset.add_batch_definition_whole_dataframe("rows")
        expectations = gx.ExpectationSuite(suite.name, expectations=list(suite.expectations))
        validation = gx.ValidationDefinition(
            name=suite.name, data=batch, suite=context.suites.add(expectations)
        )
        checkpoint = gx.Checkpoint(
            name=suite.name,
            validation_definitions=[context.validation_definitions.add(validation)],
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": list(suite.key),
                "include_unexpected_rows": False,
            },
        )
        ran = context.checkpoints.add(checkpoint).run({"dataframe": frame.to_pandas()})
        results = next(iter(ran.run_results.values())).results
        findings += [_finding(suite, frame.height, result) for result in results]
    if site is not None:
        context.build_data_docs()
    return findings


def _context(site: Path | None) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        ),
    )
    if site is not None:
        site.mkdir(parents=True, exist_ok=True)
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
        config = {"class_name": "SiteBuilder", "store_backend": store, "show_how_to_buttons": False}
        index = {"site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}}
        context.add_data_docs_site("data", {**config, **index})
    return context


def _extended(table: Table, *more: Any) -> Suite:
    suite = declared_suite(table)
    return Suite(suite.name, suite.key, (*suite.expectations, *more))


def _declared(table: Table) -> Iterator[Any]:
    import great_expectations.expectations as gxe

    unique = identity(table)
    said = f"{' + '.join(unique)} is unique"
    if len(unique) == 1:
        yield gxe.ExpectColumnValuesToBeUnique(column=unique[0], meta={"rule": said})
    else:
        yield gxe.ExpectCompoundColumnsToBeUnique(column_list=list(unique), meta={"rule": said})
    for column in table.every_column:
        if column == INGESTED_AT:
            continue
        name, about = column.name, column.doc
        if not column.nullable or name in table.key:
            rule = {"rule": f"{name} is not null"}
            yield gxe.ExpectColumnValuesToNotBeNull(column=name, meta=rule, notes=about)
        if column.kind in NUMERIC and (column.low is not None or column.high is not None):
            yield _between(name, column.low, column.high, _bounds(name, column.low, column.high))
        if column.choices:
            rule = {"rule": f"{name} is one of {', '.join(column.choices)}"}
            values = list(column.choices)
            yield gxe.ExpectColumnValuesToBeInSet(
                column=name, value_set=values, meta=rule, notes=about
            )


def _bounds(name: str, low: float | None, high: float | None) -> str:
    said = [f"at {word} {x:g}" for word, x in (("least", low), ("most", high)) if x is not None]
    return f"{name} is {' and '.join(said)}"


def _between(name: str, low: float | None, high: float | None, rule: str) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeBetween(
        column=name, min_value=low, max_value=high, meta={"rule": rule}
    )


def _most(name: str, high: float, rule: str) -> Any:
    return _between(name, None, high, rule)


def _finding(suite: Suite, rows: int, result: Any) -> Finding:
    rule = result.expectation_config.meta["rule"]
    if result.success:
        return Finding(suite.name, rule, rows, 0, "")
    details: Mapping[str, Any] = result.result
    found = details.get("unexpected_index_list")
    if not found:  # nothing was measured: the column is not there or is of another type
        return Finding(suite.name, rule, rows, max(rows, 1), str(result.exception_info)[:500])
    return Finding(suite.name, rule, rows, int(details["unexpected_count"]), _in_words(found[0]))


def _in_words(row: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in row.items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return "none" if math.isinf(value) else f"{value:.6g}"
    return str(value).removesuffix(" 00:00:00")
