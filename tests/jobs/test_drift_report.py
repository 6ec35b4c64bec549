"""The page of a monitoring run says the verdicts first, is small and opens without a network."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs.drift_report import newest, report
from riskcast.monitoring.explained import agreement, driver_shares
from riskcast.monitoring.findings import Finding, health_rows
from riskcast.products import PRODUCTS

PRODUCT = next(iter(PRODUCTS.values()))
NAMES = ("spy_ret_1d", "spy_vol_20d", "rv22")
COUNT = 1400
DAYS = [date(2010, 1, 1) + timedelta(days=i) for i in range(COUNT)]
AT = [datetime(day.year, day.month, day.day, 21, tzinfo=UTC) for day in DAYS]
REGIMES = ("calm", "transition", "risk_off")


def tables(rng):
    simulated = pl.Series([[]] * COUNT, dtype=pl.List(pl.String))
    features = pl.DataFrame(
        {"date": DAYS, "known_at": AT, "simulated": simulated}
        | {name: rng.normal(size=COUNT) for name in NAMES}
    )
    labels = pl.DataFrame(
        {
            "symbol": "GSPC",
            "date": DAYS,
            "rv_5d": np.exp(rng.normal(-4, 0.3, COUNT)),
            "regime_5d": [REGIMES[i % 3] for i in range(COUNT)],
        }
    )
    share = rng.dirichlet(np.ones(3), COUNT)
    predictions = pl.DataFrame(
        {
            "symbol": "GSPC",
            "date": DAYS,
            "slot": "champion",
            "rv_5d_hat": np.exp(rng.normal(-4, 0.2, COUNT)),
            "top_drivers": [list(NAMES)] * COUNT,
            "driver_effects": rng.normal(0, [0.5, 0.2, 0.1], (COUNT, 3)).tolist(),
            **{f"p_{name}": share[:, i] for i, name in enumerate(REGIMES)},
        }
    ).tail(90)
    return features, labels, predictions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    found = [
        Finding("drift", name, AT[-1], 0.5, 1.0, "ok", f"{name} is <within> its past")
        for name in NAMES
    ]
    found.append(Finding("skill", "champion.qlike", AT[-1], 2.0, 1.0, "alarm", "worse & worse"))
    report(
        *tables(np.random.default_rng(1)),
        health_rows(PRODUCT.name, found),
        settings=Settings(home=str(home)),
        window=Window(AT[-2], AT[-1]),
        product=PRODUCT,
    )
    return home / "reports"


@pytest.fixture(scope="module")
def page(folder):
    return newest(Settings(home=str(folder.parent)), PRODUCT)


def test_the_page_is_named_after_its_session_and_listed_with_its_alarms(folder, page):
    assert page.name == f"{PRODUCT.name}-{DAYS[-1]}.html"
    index = (folder / "index.html").read_text()
    assert f"href='{page.name}'" in index
    assert "1 alarm, 0 warnings" in index
    assert "quality" not in index


def test_the_worst_verdict_comes_first_and_reasons_are_escaped(page):
    text = page.read_text()
    assert text.index("worse &amp; worse") < text.index("&lt;within&gt;")


def test_the_library_lies_beside_the_pages_once(folder, page):
    (library,) = folder.glob("*.js")
    assert library.stat().st_size > 1e6
    for each in folder.glob(f"{PRODUCT.name}-*.html"):
        text = each.read_text()
        assert f"<script src='{library.name}'></script>" in text
        assert len(text) < 2e6
        assert "src='http" not in text
        assert 'src="http' not in text


def test_quality_of_forecasts_and_of_regimes_is_told(folder, page):
    text = page.read_text()
    for figure in ("RMSE", "MAE", "Accuracy", "F1Score"):
        assert f">{figure}" in text
    quality = (folder / page.name.replace(".html", "-quality.html")).read_text()
    assert "Confusion Matrix" in quality
    assert page.name in quality


def test_the_drivers_of_the_forecasts_are_told(page):
    text = page.read_text()
    section = text[text.index("What moved the forecasts") :]
    assert section.index("spy_ret_1d") < section.index("spy_vol_20d") < section.index("rv22")


def test_without_a_judged_session_nothing_is_written(tmp_path):
    nothing = health_rows(PRODUCT.name, [])
    settings = Settings(home=str(tmp_path))
    window = Window(AT[-2], AT[-1])
    report(*tables(np.random.default_rng(1)), nothing, settings=settings, window=window,
           product=PRODUCT)  # fmt: skip
    assert newest(settings, PRODUCT) is None


def effects(*rows):
    return pl.DataFrame(
        {"top_drivers": [["a", "b", "c"]] * len(rows), "driver_effects": list(rows)}
    )


def test_drivers_that_keep_their_order_agree_and_those_that_swap_do_not():
    same = effects(*[[3.0, -2.0, 1.0]] * 40)
    assert agreement(driver_shares(same)) == pytest.approx(1.0)
    turned = effects(*[[3.0, -2.0, 1.0]] * 20, *[[1.0, -2.0, 3.0]] * 20)
    assert agreement(driver_shares(turned)) == pytest.approx(-1.0)
    assert driver_shares(turned)["now"].to_list() == pytest.approx([50, 100 / 3, 50 / 3])
    assert driver_shares(same.head(39)).is_empty()


def test_a_forecast_of_tomorrow_changes_no_share_of_today():
    known = effects(*[[3.0, -2.0, 1.0]] * 40)
    planted = pl.concat([known, effects([99.0, 0.0, 0.0])])
    assert driver_shares(planted.head(40)).equals(driver_shares(known))
    assert not driver_shares(planted).equals(driver_shares(known))  # the check sees a leak


def test_forecasts_that_name_two_regimes_only_still_have_their_page():
    from riskcast.jobs.drift_report import _quality

    scored = pl.DataFrame(
        {
            "target": [0.01] * 20,
            "prediction": [0.01, 0.02] * 10,
            "regime": ["risk_off"] * 18 + ["transition"] * 2,
            "named": ["risk_off"] * 20,
        }
    )
    assert "<html" in _quality(scored)[0]
