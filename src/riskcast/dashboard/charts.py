"""Charts of the pages. Pure: frames in, Plotly figures out.

Colours are Okabe and Ito's (2008), told apart by people who are colour-blind; each state also
has a pattern or a symbol of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

import plotly.graph_objects as go
import polars as pl

BLUE, ORANGE, RED, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#767676"
REGIMES = {"calm": (GREEN, ""), "transition": (ORANGE, "/"), "risk_off": (RED, "x")}
VERDICTS = {"ok": 0.0, "warn": 0.5, "alarm": 1.0}
ANNUAL = 100 * (252 / 5) ** 0.5  # from rv_5d to percent a year
ENDS = ("promote", "rollback", "abort", "refuse")  # of a rollout, in the ledger
SHADES = ((95, "rgba(0,114,178,0.12)"), (80, "rgba(0,114,178,0.22)"), (50, "rgba(0,114,178,0.35)"))


def _dressed(figure: go.Figure, y: str, height: int = 360) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        hovermode="x unified",
    )
    figure.update_yaxes(title_text=y)
    return figure


def fan(outcome: pl.DataFrame, walked: pl.DataFrame, published: pl.DataFrame) -> go.Figure:
    """Realised volatility, what walk-forward said, and the published forecasts with their bands.

    Parameters
    ----------
    outcome : DataFrame
        Columns date, rv_5d.
    walked : DataFrame
        Columns date, variance_hat: forecasts of the walk-forward evaluation.
    published : DataFrame
        Rows of predictions_daily.
    """
    figure = go.Figure()
    days = published["date"].to_list()
    for level, shade in SHADES:
        if f"lo_{level}" not in published.columns or not days:
            continue
        low, high = (ANNUAL * published[f"{end}_{level}"] for end in ("lo", "hi"))
        if len(days) == 1:  # one session is no area
            figure.add_scatter(
                x=days * 2,
                y=[low[0], high[0]],
                mode="lines",
                line={"color": BLUE, "width": (95 - level) / 4 + 3},
                opacity=1 - level / 130,
                name=f"{level}% interval",
            )
            continue
        hidden = {"x": days, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(y=low.to_list(), showlegend=False, **hidden)
        figure.add_scatter(
            y=high.to_list(), fill="tonexty", fillcolor=shade, name=f"{level}% interval", **hidden
        )
    figure.add_scatter(
        x=outcome["date"].to_list(),
        y=(ANNUAL * outcome["rv_5d"]).to_list(),
        name="what came",
        line={"color": GREY, "width": 1.5},
    )
    figure.add_scatter(
        x=walked["date"].to_list(),
        y=(ANNUAL * walked["variance_hat"].sqrt()).to_list(),
        name="walk-forward forecast",
        line={"color": BLUE, "dash": "dot", "width": 1.5},
    )
    figure.add_scatter(
        x=days,
        y=(ANNUAL * published["rv_5d_hat"]).to_list(),
        name="published forecast",
        mode="lines+markers",
        line={"color": BLUE},
        marker={"size": 8, "symbol": "diamond"},
    )
    return _dressed(figure, "percent a year", 440)


def probabilities(said: Mapping[str, float]) -> go.Figure:
    """The three probabilities as one bar, patterned as well as coloured."""
    figure = go.Figure()
    for name, (colour, pattern) in REGIMES.items():
        figure.add_bar(
            x=[100 * said[name]],
            y=[""],
            orientation="h",
            name=name.replace("_", "-"),
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgopacity": 0.35},
            },
            text=f"{said[name]:.0%}" if said[name] > 0.04 else "",
            textposition="inside",
            insidetextfont={"color": "#000000", "size": 16},
        )
    figure.update_xaxes(range=[0, 100], title_text="percent")
    _dressed(figure, "", 190)
    figure.update_layout(barmode="stack", legend={"y": 1.35, "traceorder": "normal"})
    return figure


def ribbon(outcome: pl.DataFrame) -> go.Figure:
    """Realised volatility with each session marked by the regime that followed."""
    figure = go.Figure()
    symbols = {"calm": "circle", "transition": "diamond", "risk_off": "x"}
    figure.add_scatter(
        x=outcome["date"].to_list(),
        y=(ANNUAL * outcome["rv_5d"]).to_list(),
        line={"color": GREY, "width": 1},
        name="what came",
    )
    for name, (colour, _) in REGIMES.items():
        rows = outcome.filter(pl.col("regime_5d") == name)
        figure.add_scatter(
            x=rows["date"].to_list(),
            y=(ANNUAL * rows["rv_5d"]).to_list(),
            mode="markers",
            marker={"color": colour, "symbol": symbols[name], "size": 7},
            name=name.replace("_", "-"),
        )
    return _dressed(figure, "percent a year", 400)


def probabilities_along(published: pl.DataFrame) -> go.Figure:
    """Published probabilities of the regimes, session by session, stacked to the whole.

    Parameters
    ----------
    published : DataFrame
        Columns date, p_calm, p_transition, p_risk_off.
    """
    figure = go.Figure()
    for name, (colour, pattern) in REGIMES.items():
        figure.add_bar(
            x=published["date"].to_list(),
            y=(100 * published[f"p_{name}"]).to_list(),
            name=name.replace("_", "-"),
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgopacity": 0.35},
            },
        )
    _dressed(figure, "percent", 320)
    figure.update_layout(barmode="stack", bargap=0.05, legend={"traceorder": "normal"})
    figure.update_yaxes(range=[0, 100])
    return figure.update_xaxes(rangebreaks=[{"bounds": ["sat", "mon"]}])


def reliability(table: pl.DataFrame) -> go.Figure:
    """How often each regime came when it was said so often; on the diagonal both agree.

    Parameters
    ----------
    table : DataFrame
        Columns regime, said, came (shares) and sessions.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": GREY, "dash": "dot"},
        name="as said",
        hoverinfo="skip",
    )
    symbols = {"calm": "circle", "transition": "diamond", "risk_off": "x"}
    for name, (colour, _) in REGIMES.items():
        rows = table.filter(pl.col("regime") == name)
        figure.add_scatter(
            x=(100 * rows["said"]).to_list(),
            y=(100 * rows["came"]).to_list(),
            name=name.replace("_", "-"),
            mode="lines+markers",
            line={"color": colour, "width": 1},
            marker={"size": 10, "symbol": symbols[name]},
            customdata=rows["sessions"].to_list(),
            hovertemplate="said %{x:.0f}%, came %{y:.0f}% of %{customdata} sessions",
        )
    figure.update_xaxes(title_text="said, percent", range=[-2, 102])
    figure.update_yaxes(range=[-2, 102])
    _dressed(figure, "came, percent", 420)
    return figure.update_layout(hovermode="closest")


def coverage(table: pl.DataFrame) -> go.Figure:
    """Share of outcomes inside each interval: promised, at the gate and since, with its spread.

    Parameters
    ----------
    table : DataFrame
        Columns level, promised, gate, since, spread (percent; spread is half a 95% range).
    """
    levels = [f"{level}%" for level in table["level"]]
    chance = {
        "array": table.select(pl.min_horizontal(100 - pl.col("promised"), "spread"))[
            :, 0
        ].to_list(),
        "arrayminus": table.select(pl.min_horizontal("promised", "spread"))[:, 0].to_list(),
    }
    figure = go.Figure()
    for name, said, colour, pattern in (
        ("promised", "promised, with what chance explains", GREY, ""),
        ("gate", "at the gate", BLUE, "/"),
        ("since", "published since", GREEN, "x"),
    ):
        figure.add_bar(
            x=levels,
            y=table[name].to_list(),
            name=said,
            marker={"color": colour, "pattern": {"shape": pattern}},
            error_y={"type": "data", **chance} if name == "promised" else None,
        )
    figure.update_xaxes(type="category")
    figure.update_layout(barmode="group")
    figure.update_yaxes(range=[0, 105])
    return _dressed(figure, "outcomes inside, percent", 360)


def waterfall(drivers: pl.DataFrame) -> go.Figure:
    """How each feature moves the forecast, in percent of volatility.

    Parameters
    ----------
    drivers : DataFrame
        Columns name, effect: contributions to the log variance, so that exp(effect / 2) is the
        factor on volatility; and meaning, shown on pointing.
    """
    effects = [100 * (exp(e / 2) - 1) for e in drivers["effect"]]
    figure = go.Figure(
        go.Bar(
            x=effects,
            y=drivers["name"].to_list(),
            orientation="h",
            marker={"color": [RED if e > 0 else BLUE for e in effects]},
            text=[f"{e:+.0f}%" for e in effects],
            textposition="outside",
            cliponaxis=False,
            customdata=drivers["meaning"].to_list(),
            hovertemplate="%{customdata}<extra>%{text}</extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title_text="raises (+) or lowers (−) volatility, percent")
    figure.update_layout(showlegend=False)
    return _dressed(figure, "", 120 + 34 * len(effects))


def saved(curve: pl.DataFrame) -> go.Figure:
    """Running sum of the loss saved against each reference.

    Parameters
    ----------
    curve : DataFrame
        Columns date, reference, saved.
    """
    figure = go.Figure()
    for (name,), rows in curve.group_by(["reference"], maintain_order=True):
        days, values = rows["date"].to_list(), rows["saved"].to_list()
        figure.add_scatter(x=days, y=values, name=f"against {name}")
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    return _dressed(figure, "QLIKE saved, added up")


def heat(health: pl.DataFrame) -> go.Figure:
    """Verdict of each subject at each look.

    Parameters
    ----------
    health : DataFrame
        Columns at, subject, verdict (ok, warn or alarm).
    """
    grid = health.with_columns(level=pl.col("verdict").replace_strict(VERDICTS)).pivot(
        "at", index="subject", values="level", aggregate_function="max", sort_columns=True
    )
    looks = [column for column in grid.columns if column != "subject"]
    shades = ("#DCEBF5", ORANGE, RED)
    figure = go.Figure(
        go.Heatmap(
            x=[look[:16] for look in looks],
            y=grid["subject"].to_list(),
            z=grid.select(looks).to_numpy(),
            zmin=0,
            zmax=1,
            colorscale=[(k / 3, shades[n]) for n in range(3) for k in (n, n + 1)],
            xgap=1,
            ygap=1,
            colorbar={"tickvals": [1 / 6, 1 / 2, 5 / 6], "ticktext": list(VERDICTS)},
        )
    )
    # A session is a place in a row, not on a clock: one alone must not show microseconds.
    figure.update_xaxes(type="category", nticks=8)
    figure.update_yaxes(type="category")
    return _dressed(figure, "", 160 + 18 * grid.height)


def timeline(ledger: pl.DataFrame) -> go.Figure:
    """Which version served from when; each event a marker with its reason."""
    rows = ledger.sort("at")
    figure = go.Figure(
        go.Scatter(
            x=rows["at"].to_list(),
            y=rows["model_version"].to_list(),
            mode="lines+markers+text",
            line={"shape": "hv", "color": BLUE},
            marker={"size": 11},
            # Steps on the way lie within seconds of where they lead: they are told on hover.
            text=[action if action in ENDS else "" for action in rows["action"]],
            hovertext=rows["action"].to_list(),
            textposition="top center",
            customdata=rows.select("who", "why").rows(),
            hovertemplate="%{hovertext} %{y}<br>%{customdata[0]}: %{customdata[1]}<extra></extra>",
        )
    )
    figure.update_yaxes(type="category")
    return _dressed(figure, "model version", 320)
