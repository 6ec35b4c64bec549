"""Gold: what models may read and what they are asked to foresee."""

from datetime import timedelta

from riskcast.tables import columns as col
from riskcast.tables.spec import Column, Kind, Layer, Table, Write


def _float(
    name: str, doc: str, *symbols: str, low: float | None = None, high: float | None = None
) -> Column:
    return Column(name, Kind.FLOAT, doc, low, high, nullable=True, symbols=symbols)


SECTORS = ("XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY")
STATES = 5  # columns for the largest number of regimes; unused ones are null

# "spy" in a column name stands for the product's asset: SPY, or the S&P 500 index in the sample.
MARKET = (
    *(_float(f"spy_ret_{n}d", f"Log return over {n} sessions.") for n in (1, 5, 10, 20)),
    *(
        _float(
            f"spy_vol_{n}d", f"Standard deviation of {n} daily log returns, annualised.", low=0.0
        )
        for n in (5, 10, 20)
    ),
    _float("drawdown_60d", "Log distance from the highest close of 60 sessions.", high=0.0),
    _float(
        "rsi_spy_14", "Relative strength index, 14 sessions, Wilder smoothing.", low=0.0, high=100.0
    ),
    _float("skew_20d", "Sample skewness of 20 daily log returns."),
    _float("kurt_20d", "Sample excess kurtosis of 20 daily log returns."),
    _float("vix", "VIX close, annualised percent.", "VIX", low=0.0, high=200.0),
    _float("vix3m", "VIX3M close, annualised percent.", "VIX3M", low=0.0, high=200.0),
    _float("vix_term", "vix3m / vix.", "VIX", "VIX3M", low=0.0),
    _float(
        "corr_spy_tlt_20d",
        "Correlation of daily returns with TLT, 20 sessions.",
        "TLT",
        low=-1.0000001,
        high=1.0000001,
    ),
    _float(
        "corr_spy_hyg_20d",
        "Correlation of daily returns with HYG, 20 sessions.",
        "HYG",
        low=-1.0000001,
        high=1.0000001,
    ),
    _float("hyg_tlt_spread", "20-session log return of HYG minus that of TLT.", "HYG", "TLT"),
    *(_float(f"{s.lower()}_ret_20d", f"20-session log return of {s}.", s) for s in SECTORS),
    _float("dxy_ret_20d", "20-session log return of the dollar index.", "DXY"),
    _float("gld_ret_20d", "20-session log return of GLD.", "GLD"),
    _float("wti_chg_20d", "20-session change of WTI over its mean absolute level.", "WTI"),
)

# Logs of daily-mean variances unless said otherwise. "Session variance" is squared overnight
# return plus Garman-Klass where opens can be trusted, Parkinson where they cannot.
CORE = (
    *(_float(f"tv{n}", f"Log mean session variance over {n} sessions.") for n in (1, 5, 22, 66)),
    _float("ew94", "Log EWMA of squared returns, decay 0.94."),
    _float("rv5", "Log mean squared return, 5 sessions."),
    _float("rv22", "Log mean squared return, 22 sessions."),
    _float("yz10", "Log Yang-Zhang variance, 10 sessions; mean Parkinson without opens."),
    _float("lvix", "Log daily variance implied by VIX.", "VIX"),
    _float("dvix1", "One-session change of log VIX.", "VIX"),
    _float("dvix5", "Five-session change of log VIX.", "VIX"),
    _float("vixgap", "Log VIX minus its 22-session EMA.", "VIX"),
    _float("vixhl", "Log of VIX high over low.", "VIX"),
    _float("r1neg", "Last loss over the 22-session standard deviation, 0 after a gain.", low=0.0),
    _float("r5s", "Five-session return over the 22-session standard deviation."),
    _float("neg5", "Share of squared returns from losses, 5 sessions.", low=0.0, high=1.0),
    _float("neg22", "Share of squared returns from losses, 22 sessions.", low=0.0, high=1.0),
    _float("dd", "Log distance from the highest close of 252 sessions.", high=0.0),
)

BASELINES = (
    _float(
        "hv20",
        "Mean squared return of 20 sessions times 5: the 5-session variance of HV20.",
        low=0.0,
    ),
    _float("ewma", "RiskMetrics EWMA variance (decay 0.94) times 5.", low=0.0),
    _float("mean_var", "Mean squared return since the start times 5.", low=0.0),
)

MACRO = (
    _float("cpi_yoy_z", "z-score of CPI on the year on its last 120 months."),
    _float("ffr_real", "Federal funds rate minus CPI on the year, percent."),
    _float("slope_10y_2y", "10-year minus 2-year yield, points."),
    _float("ism_pmi_z", "z-score of ISM manufacturing PMI on its last 120 months."),
    _float("unemp_rate_z", "z-score of the unemployment rate on its last 120 months."),
)

REGIME = (
    Column(
        "regime_cluster_id",
        Kind.INT,
        "Most probable state; ids keep their meaning, 0 was least volatile at first.",
        0,
        STATES - 1,
        nullable=True,
    ),
    *(
        _float(
            f"prob_cluster_{k}",
            f"Probability of state {k}, from data to the row's session.",
            low=0.0,
            high=1.0000001,
        )
        for k in range(STATES)
    ),
    *(
        _float(
            f"dist_to_centroid_{k}", f"Mahalanobis distance to the centre of state {k}.", low=0.0
        )
        for k in range(STATES)
    ),
)

# Thresholds of the regimes, from labels known at the row's session only.
THRESHOLDS = tuple(
    _float(f"rv5_q{q}", f"{q}% quantile of rv_5d over all labels known by then.", low=0.0)
    for q in (33, 50, 67, 85)
)

# The same by clusters: as many past labels lie below the first as past sessions lay in calm states
# of the newest fit, and above the second as lay in risk_off.
CLUSTER_BOUNDS = (
    _float("rv5_calm", "Bound of calm mapped from the states of the fit in force.", low=0.0),
    _float(
        "rv5_risk_off", "Bound of risk_off mapped from the states of the fit in force.", low=0.0
    ),
)

FEATURES_DAILY = Table(
    Layer.GOLD,
    "features_daily",
    "What is known about the asset after each session's close.",
    columns=(
        col.SYMBOL,
        col.DATE,
        *MARKET,
        *CORE,
        *BASELINES,
        *MACRO,
        *REGIME,
        *THRESHOLDS,
        *CLUSTER_BOUNDS,
        Column("simulated", Kind.TEXTS, "Symbols whose values on this row are simulated."),
    ),
    key=("symbol", "date"),
    time="date",
    fresh=timedelta(hours=100),  # from a Friday's close over a long weekend to Tuesday's run
    published=True,
    online=True,
)

LABELS_DAILY = Table(
    Layer.GOLD,
    "labels_daily",
    "What happened in the five sessions after each session; known when the fifth closes.",
    columns=(
        col.SYMBOL,
        col.DATE,
        col.RV_5D,
        Column(
            "regime_5d",
            Kind.TEXT,
            "rv_5d against the quantiles known at the session.",
            nullable=True,
            choices=("calm", "transition", "risk_off"),
        ),
    ),
    key=("symbol", "date"),
    time="date",
    published=True,
)

REGIME_FITS = Table(
    Layer.GOLD,
    "regime_fits",
    "Gaussian mixtures fitted at fixed dates; each serves the sessions after its fit_end.",
    columns=(
        Column("fit_end", Kind.DATE, "Last session the fit saw."),
        Column("k", Kind.INT, "Number of states.", 2, STATES),
        Column("inputs", Kind.TEXTS, "Feature columns, in order."),
        Column("center", Kind.FLOATS, "Mean of each input, for standardisation."),
        Column("scale", Kind.FLOATS, "Standard deviation of each input."),
        Column("weights", Kind.FLOATS, "Weight of each state, length k."),
        Column("means", Kind.FLOATS, "Means, k x inputs, row by row, standardised."),
        Column("covariances", Kind.FLOATS, "Covariances, k x inputs x inputs, standardised."),
        Column("state_names", Kind.TEXTS, "Name of each state by its place in volatility."),
        Column(
            "state_ids",
            Kind.FLOATS,
            "Id of each state in features_daily, kept from fit to fit; 0 to k-1 where null.",
            nullable=True,
        ),
        Column("matched_to", Kind.DATE, "fit_end of the fit whose ids it keeps.", nullable=True),
    ),
    key=("fit_end",),
    time="fit_end",
    write=Write.UPSERT,
)
