"""Figures of the skill report. Pure: frames in, Plotly figures out."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from riskcast.evaluation.attribution import importance, yearly_importance
from riskcast.evaluation.intervals import ROLLING
from riskcast.models.calibration import LEVELS

INK, BLUE, RED, GREEN, GREY = "#1f2937", "#2563eb", "#dc2626", "#059669", "#9ca3af"
STATE_COLOURS = (GREEN, "#f59e0b", RED, "#7c3aed", INK)
CLASSES = ("calm", "transition", "risk_off")
BAND = {50: "rgba(37,99,235,0.35)", 80: "rgba(37,99,235,0.2)", 95: "rgba(37,99,235,0.1)"}
FAN_SESSIONS = 250
SHOWN = 14  # features in figures of effects
DOTS = 800  # sessions in the beeswarm; more only make the page heavy
ANNUAL = (252 / 5) ** 0.5 * 100  # from rv_5d to percent a year


def _styled(figure: go.Figure, title: str, y: str, height: int = 380) -> go.Figure:
    figure.update_layout(
        title=title,
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 50, "b": 40},
        legend={"orientation": "h", "y": -0.15},
        font={"color": INK},
    )
    figure.update_yaxes(title_text=y)
    return figure


def fan_chart(published: pl.DataFrame) -> go.Figure:
    """Forecast, intervals and outcome of the newest sessions."""
    rows = published.sort("date").tail(FAN_SESSIONS)
    days, figure = rows["date"].to_list(), go.Figure()
    for level in sorted(LEVELS, reverse=True):
        low, high = (ANNUAL * rows[f"{end}_{level}"] for end in ("lo", "hi"))
        hidden = {"x": days, "mode": "lines", "line": {"width": 0}}
        figure.add_scatter(y=low.to_list(), showlegend=False, hoverinfo="skip", **hidden)
        figure.add_scatter(
            y=high.to_list(), fill="tonexty", fillcolor=BAND[level], name=f"{level}%", **hidden
        )
    said = ANNUAL * rows["variance_hat"].sqrt()
    came = ANNUAL * rows["rv"]
    figure.add_scatter(x=days, y=said.to_list(), name="forecast", line={"color": BLUE})
    points = {"color": INK, "size": 4}
    figure.add_scatter(x=days, y=came.to_list(), name="outcome", mode="markers", marker=points)
    return _styled(figure, "Forecast and outcome of the next five sessions", "percent a year", 440)


def cumulative(curves: dict[str, pl.DataFrame]) -> go.Figure:
    """Running sum of QLIKE saved against each reference."""
    figure = make_subplots(
        rows=1, cols=len(curves), subplot_titles=[f"against {n}" for n in curves]
    )
    for col, frame in enumerate(curves.values(), start=1):
        figure.add_scatter(
            x=frame["date"].to_list(),
            y=frame["gained"].to_list(),
            line={"color": BLUE},
            showlegend=False,
            row=1,
            col=col,
        )
    return _styled(figure, "", "QLIKE saved by the pool, added up")


def reliability(table: pl.DataFrame) -> go.Figure:
    """What was said against what came, per class; the size of a point is how often."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, showlegend=False
    )
    for k, (name, colour) in enumerate(zip(CLASSES, STATE_COLOURS, strict=False)):
        rows = table.filter(pl.col("class") == k)
        size = 6 + 24 * (rows["rows"] / table["rows"].max()).sqrt()
        figure.add_scatter(
            x=rows["said"].to_list(),
            y=rows["came"].to_list(),
            name=name,
            mode="lines+markers",
            line={"color": colour},
            marker={"size": size.to_list()},
        )
    figure.update_xaxes(title_text="probability said")
    return _styled(figure, "Regimes: how often it came when it was said", "share that came", 440)


def coverage(published: pl.DataFrame) -> go.Figure:
    """Coverage of each level over ROLLING sessions."""
    figure = go.Figure()
    for level, colour in zip(LEVELS, (GREEN, BLUE, INK), strict=True):
        inside = pl.col("rv").is_between(f"lo_{level}", f"hi_{level}").cast(pl.Float64)
        rolling = published.select("date", share=100 * inside.rolling_mean(ROLLING)).drop_nulls()
        days = rolling["date"].to_list()
        figure.add_scatter(
            x=days, y=rolling["share"].to_list(), name=f"{level}%", line={"color": colour}
        )
        figure.add_hline(y=level, line={"color": colour, "dash": "dot", "width": 1})
    return _styled(figure, f"Coverage over {ROLLING} sessions", "percent inside")


def ablation(table: pl.DataFrame) -> go.Figure:
    """Change of QLIKE by added columns; grey where it could be chance."""
    rows = table.sort("change", descending=True)
    colours = [
        GREY if p >= 0.05 else (RED if change > 0 else GREEN)
        for p, change in rows.select("dm_p", "change").iter_rows()
    ]
    figure = go.Figure(
        go.Bar(
            x=rows["change"].to_list(),
            y=rows["model"].to_list(),
            orientation="h",
            marker={"color": colours},
            text=[f"p {p:.2f}" for p in rows["dm_p"]],
        )
    )
    figure.update_xaxes(title_text="change of QLIKE in percent; left of 0 the columns help")
    return _styled(figure, "Blocks of columns added: grey could be chance", "", 320)


def beeswarm(effects: pl.DataFrame) -> go.Figure:
    """Effects of the most important columns, a dot per session, coloured by the column's value."""
    names = importance(effects)["column"].head(SHOWN).to_list()
    days = effects["date"].unique().sort()
    rows = effects.filter(pl.col("date").is_in(days.gather_every(len(days) // DOTS + 1).implode()))
    figure = go.Figure()
    for place, name in enumerate(reversed(names)):
        mine = rows.filter(pl.col("column") == name)
        figure.add_scatter(
            x=mine["effect"].to_list(),
            y=(place + _spread(mine["effect"])).to_list(),
            mode="markers",
            marker={
                "size": 3,
                "color": (mine["value"].rank() / mine.height).to_list(),
                "colorscale": [[0, BLUE], [0.5, "#c4b5d0"], [1, RED]],
                "cmin": 0,
                "cmax": 1,
                "showscale": place == 0,
                "colorbar": {
                    "title": "value",
                    "tickvals": [0, 1],
                    "ticktext": ["low", "high"],
                    "len": 0.6,
                },
            },
            showlegend=False,
            name=name,
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure = _styled(figure, "Effect of each feature, a dot a session", "", 60 + 34 * len(names))
    figure.update_xaxes(title_text="effect on ln h")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names[::-1], zeroline=False)
    return figure


def _spread(effect: pl.Series) -> pl.Series:
    """Return offsets in (-0.4, 0.4): wide where many effects are alike, dots side by side."""
    span = max(float(effect.max() - effect.min()), 1e-12)  # type: ignore[arg-type, operator]
    bins = ((effect - effect.min()) / span * 60).cast(pl.Int64)
    frame = pl.DataFrame({"bin": bins}).with_columns(
        place=pl.int_range(pl.len()).over("bin"), many=pl.len().over("bin")
    )
    width = 0.8 * frame["many"] / frame["many"].max()
    return ((frame["place"] + 0.5) / frame["many"] - 0.5) * width


def stability(effects: pl.DataFrame) -> go.Figure:
    """Importance of each column by calendar year."""
    names = importance(effects)["column"].head(SHOWN).to_list()
    table = yearly_importance(effects).filter(pl.col("column").is_in(names))
    wide = table.pivot("year", index="column", values="share").fill_null(0.0)
    order = pl.DataFrame({"column": names[::-1]}).join(wide, on="column", how="left")
    years = sorted(table["year"].unique().to_list())
    shares = order.select(str(year) for year in years).to_numpy()
    figure = go.Figure(
        go.Heatmap(
            x=[str(year) for year in years],
            y=order["column"].to_list(),
            z=shares.tolist(),
            colorscale="Blues",
            colorbar={"title": "%"},
        )
    )
    figure.update_xaxes(type="category")
    return _styled(figure, "Share of the mean absolute effect by year", "", 60 + 26 * len(names))


def states(features: pl.DataFrame) -> go.Figure:
    """Volatility coloured by state."""
    rows = features.filter(pl.col("regime_cluster_id").is_not_null()).sort("date")
    figure = go.Figure()
    for k in sorted(rows["regime_cluster_id"].unique()):
        mine = rows.filter(pl.col("regime_cluster_id") == k)
        figure.add_scattergl(
            x=mine["date"].to_list(),
            y=(100 * mine["spy_vol_20d"]).to_list(),
            mode="markers",
            marker={"size": 3, "color": STATE_COLOURS[k]},
            name=f"state {k}",
        )
    return _styled(figure, "States along time", "20-session volatility, percent a year")
