"""The guardrail on live losses: the champion of the day against the one before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from riskcast.core.errors import NotEnoughHistory
from riskcast.monitoring.findings import ALARM, OK, WARN, Finding
from riskcast.monitoring.guardrail import Guardrail, calibrate
from riskcast.products import Product

CHAMPION, PREVIOUS, BENCHMARK = "champion", "previous", "benchmark"


@dataclass(frozen=True)
class Live:
    """Losses of the roles and the benchmark by session, and the record to calibrate on.

    Attributes
    ----------
    rows : DataFrame
        Columns date, known_at, version, champion, previous (null where none), benchmark; ascending.
    record : DataFrame
        Walk-forward losses of the recipe, a column per model, with date; ascending.
    """

    rows: pl.DataFrame
    record: pl.DataFrame
    recipe: Product
    tests: dict[str, Guardrail] = field(default_factory=dict)

    @classmethod
    def of(cls, losses: pl.DataFrame, recipe: Product) -> Live:
        live = losses.filter(pl.col("evaluation") == "live")
        mine = live.filter(pl.col("model") == CHAMPION).select(
            "date", "known_at", pl.col("recipe").alias("version"), pl.col("qlike").alias(CHAMPION)
        )
        for model, name in ((PREVIOUS, PREVIOUS), (recipe.benchmark, BENCHMARK)):
            other = live.filter(pl.col("model") == model).sort("known_at")
            other = other.unique("date", keep="last").select("date", pl.col("qlike").alias(name))
            mine = mine.join(other, on="date", how="left")
        models = (recipe.pool_name, recipe.benchmark, *recipe.pool)
        walked = losses.filter(
            (pl.col("evaluation") == "walk_forward") & pl.col("model").is_in(models)
        )
        newest = walked.filter(pl.col("recipe") == recipe.recipe)
        record = newest.pivot("model", index="date", values="qlike").drop_nulls().sort("date")
        record = record.rename({recipe.benchmark: BENCHMARK}, strict=False)
        return cls(mine.sort("date"), record, recipe)

    def test(self, version: str) -> Guardrail:
        """Return the test calibrated on what was on record before the version's first forecast."""
        if version not in self.tests:
            first = self.rows.filter(pl.col("version") == version)["date"].min()
            past = self.record.filter(pl.col("date") < first)
            if past.is_empty():
                raise NotEnoughHistory("no walk-forward loss from before the first live forecast")
            own, benchmark = (past[n].to_numpy() for n in (self.recipe.pool_name, BENCHMARK))
            members = tuple(past[name].to_numpy() for name in self.recipe.pool)
            self.tests[version] = calibrate(own, members, benchmark, seed=len(past))
        return self.tests[version]


def guard(live: Live, at: datetime) -> Finding:
    """Return the verdict on the champion of `at` by the losses known then.

    Alarm means gross failure: the sum passed its bound. Without a previous champion there is
    nothing to go back to, and nothing is decided.
    """
    known = live.rows.filter(pl.col("known_at") <= at)
    if known.is_empty():
        return Finding("guardrail", CHAMPION, at, None, None, OK, "no outcome is known yet")
    version = known["version"][-1]
    mine = known.filter(pl.col("version") == version)
    paired = mine.drop_nulls([PREVIOUS, BENCHMARK])
    if paired.is_empty():
        return Finding("guardrail", version, at, None, None, OK, "no previous champion is scored")
    try:
        test = live.test(version)
    except NotEnoughHistory as error:
        return Finding("guardrail", version, at, None, None, OK, str(error))
    losses = [paired[name].to_numpy() for name in (CHAMPION, PREVIOUS, BENCHMARK)]
    value = float(test.path(*losses)[-1])
    means = {
        name: float(np.mean(loss))
        for name, loss in zip((CHAMPION, PREVIOUS, BENCHMARK), losses, strict=True)
    }
    verdict = ALARM if value > test.bound else WARN if value > test.bound / 2 else OK
    why = (
        f"over {len(paired)} sessions version {version} lost {means[CHAMPION]:.3f}, the one before "
        f"{means[PREVIOUS]:.3f}, the benchmark {means[BENCHMARK]:.3f}; sum {value:.2f} of "
        f"{test.bound:.2f}"
    )
    figures = {**means, "sessions": len(paired)}
    return Finding("guardrail", version, at, value, test.bound, verdict, why, figures)
