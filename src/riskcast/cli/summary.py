"""What a run ends with: the forecast, the skill, the drivers, and where things lie."""

from __future__ import annotations

import json

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from riskcast.core.errors import TableMissing
from riskcast.core.settings import LOOPBACK, Settings
from riskcast.lake import Lake
from riskcast.products import Product
from riskcast.tables.gold import FEATURES_DAILY
from riskcast.tables.output import DECISIONS, LOSSES, PREDICTIONS_DAILY

ASSETS = {"GSPC": "S&P 500 index (GSPC)", "SPY": "SPY"}
BASELINES = ("mean_var", "hv20", "ewma")


def summary(settings: Settings, lake: Lake, product: Product) -> RenderableType:
    """Return the closing block, read from the tables.

    Raises
    ------
    TableMissing
        If nothing has been forecast yet.
    """
    forecasts = _published(lake)
    if forecasts.is_empty():
        raise TableMissing("predictions_daily is empty: run train, then market_daily forecast")
    row = forecasts.row(-1, named=True)
    return Group(
        Text(),
        _forecast(row),
        Text(str(row["explanation"] or ""), style="italic"),
        _simulated(lake, row),
        Text(),
        _skill(lake, product),
        Text(),
        Text(f"tables    {settings.lake_root}\nparquet   {settings.published_root}"),
    )


def _forecast(row: dict[str, object]) -> Text:
    asset = ASSETS.get(str(row["symbol"]), str(row["symbol"]))
    pct = {name: f"{100 * float(str(row[name])):.2f}%" for name in row if str(name).startswith(
        ("rv_5d", "lo_", "hi_", "p_"))}  # fmt: skip
    text = Text()
    text.append(f"{asset}, five sessions after {row['date']}: ", style="bold")
    text.append(f"volatility {pct['rv_5d_hat']}", style="bold green")
    text.append(f" ({pct['rv_5d_annualised']} a year)\n")
    text.append(f"  80% {pct['lo_80']} to {pct['hi_80']}, 95% {pct['lo_95']} to {pct['hi_95']}\n")
    text.append(
        f"  calm {pct['p_calm']}, transition {pct['p_transition']}, risk-off {pct['p_risk_off']}"
        f"   (model version {row['model_version']})"
    )
    return text


def _simulated(lake: Lake, row: dict[str, object]) -> Text:
    features = lake.read(FEATURES_DAILY).filter(pl.col("date") == row["date"])
    names = features["simulated"][0].to_list() if features.height else []
    if not names:
        return Text("Every input is real.")
    return Text(f"Simulated on this row, and kept from the model: {', '.join(names)}.")


def _skill(lake: Lake, product: Product) -> RenderableType:
    from riskcast.evaluation.scores import score
    from riskcast.jobs.train import walked

    decision = lake.read(DECISIONS).sort("as_of").row(-1, named=True)
    record = walked(lake.read(LOSSES), product.name, decision["recipe"])
    benchmark = _benchmark(record, product)
    scored = score(record, benchmark)
    days = record["date"].sort()
    span = f"{days[0]} to {days[-1]}"
    grid = Grid("model", "QLIKE", "RMSE bp", "vs hv20", f"vs {benchmark.benchmark}", "DM p",
                title=f"Walk-forward skill, {span}", title_justify="left", box=None)  # fmt: skip
    for line in scored.iter_rows(named=True):
        style = "bold" if line["model"] == product.pool_name else ""
        versus = f"vs_{benchmark.benchmark}"
        p = "" if line["model"] == benchmark.benchmark else _p_value(line["dm_p"])
        grid.add_row(
            line["model"],
            f"{line['qlike']:.4f}",
            f"{line['rmse_bp']:.1f}",
            f"{line['vs_hv20']:+.1f}%",
            f"{line[versus]:+.1f}%",
            p,
            style=style,
        )
    verdict = f"gate: {decision['verdict']}, {decision['reason']}"
    return Group(grid, Text(verdict))


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _benchmark(record: pl.DataFrame, product: Product) -> Product:
    from dataclasses import replace

    there = set(record["model"].unique())
    name = product.benchmark if product.benchmark in there else product.fallback_benchmark
    return replace(product, benchmark=name)


def curl(settings: Settings) -> str:
    """Return a command that asks for the newest forecast."""
    key = settings.keys_path / "api.key"
    return (
        f"curl -s http://{LOOPBACK}:{settings.api_port}/predict "
        f'-H "X-API-Key: $(cat {key})" -H "content-type: application/json" -d "{{}}"'
    )


def urls(settings: Settings) -> str:
    """Return where the parts of the stack answer and where passwords lie."""
    host = LOOPBACK
    return "\n".join(
        [
            f"API       http://{host}:{settings.api_port}  (docs at /docs)",
            f"Airflow   http://{host}:{settings.api_port}/airflow/  user admin, password in "
            "airflow-admin",
            f"MLflow    http://{host}:{settings.api_port}/mlflow/  user admin, password in "
            "mlflow-admin",
            f"Dashboard http://{host}:{settings.api_port}/dashboard/  user admin, password in "
            "console; so are /reports/ and /inbox/",
            f"secrets   {settings.keys_path}",
        ]
    )


def timings(seconds: dict[str, float]) -> str:
    """Say where the time went, longest first."""
    total = sum(seconds.values())
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:5]
    said = ", ".join(f"{name} {spent:.0f} s" for name, spent in longest)
    return f"{total:.0f} s in all: {said}"


def as_json(lake: Lake) -> str:
    """Return the newest forecast as one JSON object."""
    row = _published(lake).row(-1, named=True)
    return json.dumps(row, default=str)


def _published(lake: Lake) -> pl.DataFrame:
    """Return the champion's forecasts, ascending; its shadows are nobody's forecast."""
    return lake.read(PREDICTIONS_DAILY).filter(pl.col("slot") == "champion").sort("date")
