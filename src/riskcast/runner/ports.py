"""What steps may ask for besides frames, built when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import polars as pl

from riskcast.core.errors import DeclarationError
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.lake import Lake, open_lake
from riskcast.pipelines import Step
from riskcast.tables import Read

PORTS = (
    "settings",
    "lake",
    "source",
    "registry",
    "asset",
    "progress",
    "params",
    "backfill",
    "announce",
)
Progress = Callable[[str, int, int], None]


def silent(_name: str, _done: int, _total: int) -> None:
    """Report progress to nobody."""


class Ports:
    """The outside world of a run, one object per run.

    Parameters
    ----------
    settings : Settings
    lake : Lake, optional
        Given by tests; otherwise opened from the settings.
    progress : callable (name, done, total), optional
        Told how far long work has come.
    params : mapping of str to str, optional
        What the run was told besides its window.
    backfill : bool
        Whether the run repeats the past: then nothing is announced, sent or deployed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        lake: Lake | None = None,
        progress: Progress = silent,
        params: Mapping[str, str] | None = None,
        backfill: bool = False,
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.params = dict(params or {})
        self.backfill = backfill
        self.announced: list[str] = []
        if lake is not None:
            self.lake = lake

    @cached_property
    def lake(self) -> Lake:
        return open_lake(self.settings)

    @cached_property
    def source(self) -> Any:
        # Imported here: reading files or the sample pulls in packages most steps do not need.
        from riskcast.sources import open_source

        return open_source(self.settings)

    @cached_property
    def registry(self) -> Any:
        # Imported here: MLflow alone takes seconds.
        from riskcast.registry import Registry

        return Registry(self.settings)

    @property
    def asset(self) -> str:
        return self.settings.asset_symbol

    def announce(self, asset: str) -> None:
        """Make an event of the asset once the step has succeeded, unless this is a backfill."""
        self.announced.append(asset)

    def read(self, read: Read, step: Step, window: Window) -> pl.DataFrame:
        """Return the rows of one of the step's reads, as of the window's end.

        Raises
        ------
        ContractBroken
            If rows to retrieve from the feature store are not those of the lake.
        """
        rows = self.lake.read(read.table, as_of=window.as_of, all_vintages=read.all_vintages)
        if not read.retrieved or step.product is None:
            return rows
        # Imported here: Feast alone takes seconds.
        from riskcast.online.history import training_rows

        return training_rows(self.settings, step.product, rows)

    def for_step(self, step: Step, window: Window) -> dict[str, Any]:
        """Return the named arguments of `step`.

        Raises
        ------
        DeclarationError
            If the step asks for a port that does not exist.
        """
        asked: dict[str, Any] = {}
        for name in step.uses:
            if name == "window":
                asked[name] = window
            elif name in PORTS:
                asked[name] = getattr(self, name)
            else:
                raise DeclarationError(f"step {step.name} asks for an unknown port {name!r}")
        if step.product is not None:
            asked["product"] = step.product.with_regimes(self.settings.regimes)
        return asked
