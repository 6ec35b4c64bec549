"""A registered model names what it was made from, and the same data make the same model."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.evaluation.synthetic_market import SMALL, market

from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.jobs import evaluate, train
from riskcast.jobs.lineage import environment_digest, git_sha
from riskcast.lake import MemoryLake
from riskcast.registry import CHAMPION, Registry
from riskcast.tables.output import DECISIONS, DEPLOYMENTS

WINDOW = Window(datetime(2001, 1, 1, tzinfo=UTC), datetime(2005, 4, 1, tzinfo=UTC))
FEATURES, LABELS = market()
FEATURES = FEATURES.with_columns(regime_cluster_id=pl.lit(None, pl.Int64))
# A market as short as this gives less evidence than the real one.
PRODUCT = replace(SMALL, gate=replace(SMALL.gate, alpha=0.2))


class VersionedLake(MemoryLake):
    """A lake whose every table is at version 7."""

    def version(self, table):
        return 7


def trained(home: Path, *, lvix: float = 0.0):
    settings = Settings(home=str(home), asset="GSPC")
    registry = Registry(settings)
    given = {"product": PRODUCT, "registry": registry, "window": WINDOW}
    features = FEATURES.with_columns(pl.col("lvix") + lvix * pl.col("tv1").sin())
    asked = {"product": PRODUCT, "window": WINDOW}
    alone = {"settings": settings, "progress": lambda *_: None}
    walks = [
        evaluate.walk(features, LABELS, **asked, **alone, members=(candidate.name,))
        for candidate in PRODUCT.candidates
    ]
    losses = evaluate.evaluate(features, LABELS, pl.concat(walks), **asked)
    none = MemoryLake().read(DECISIONS)
    decided = train.gate(features, LABELS, losses, none, **given)
    lake = VersionedLake()
    train.register(features, LABELS, losses, decided, **given, lake=lake, settings=settings)
    return settings, registry, losses, decided, lake


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("home"))


def test_the_entry_names_data_versions_code_environment_and_fit_end(run):
    _, registry, _, decided, lake = run
    (version,) = registry.versions(PRODUCT.name)
    assert lake.read(DEPLOYMENTS)["model_version"].to_list() == [version.version]
    assert CHAMPION in version.aliases
    said = json.loads(version.tags["lineage"])
    assert said["tables"] == {PRODUCT.features.name: 7, PRODUCT.labels.name: 7}
    assert said["git_sha"] == version.tags["git_sha"] == git_sha()
    assert said["environment"] == environment_digest()
    assert version.tags["fit_end"] == LABELS["known_at"].max().date().isoformat()
    assert version.tags["as_of"] == WINDOW.as_of.isoformat()
    assert version.tags["recipe"] == decided["recipe"][0]


def test_the_report_is_logged_with_the_run_and_explains(run):
    settings, _, _, _, _ = run
    (page,) = (settings.home_path / "mlflow-artifacts").glob("*/*/artifacts/report/skill.html")
    text = page.read_text()
    for heading in ("Skill", "Intervals", "What moves the forecast"):
        assert f"<h2>{heading}</h2>" in text


def test_the_same_data_and_seed_give_the_same_metrics_and_the_same_model(run, tmp_path):
    _, registry, losses, decided, _ = run
    _, again, losses_again, decided_again, _ = trained(tmp_path)
    assert losses.equals(losses_again)
    assert decided["figures"][0] == decided_again["figures"][0]
    (one,), (two,) = (r.versions(PRODUCT.name) for r in (registry, again))
    assert one.digest == two.digest
    assert one.metrics == two.metrics


def test_other_data_give_another_model(run, tmp_path):
    (one,) = run[1].versions(PRODUCT.name)
    (two,) = trained(tmp_path, lvix=0.01)[1].versions(PRODUCT.name)
    assert one.digest != two.digest
