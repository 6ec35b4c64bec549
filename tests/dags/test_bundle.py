"""The bundle for MWAA: small, complete, and importable where no package of a model is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from riskcast.core.errors import SettingsError
from riskcast.core.settings import Settings, read_settings
from riskcast.jobs.bundle import ROOMS, build_bundle
from riskcast.jobs.eventbridge import DUE, targets
from riskcast.pipelines import PIPELINES

ROOT = Path(__file__).parents[2]
ON_ECS = {
    "place": "ecs",
    "source": "live",
    "lake": "s3://lake/house",
    "ecs_cluster": "riskcast",
    "ecs_subnets": "subnet-1,subnet-2",
    "ecs_security_groups": "sg-1",
}
# Startup scripts and requirements have minutes; plugins.zip is unpacked on each container.
LARGEST_PLUGINS = 1_000_000
PARSE = """
import json, runpy, sys
from pathlib import Path
import airflow.sdk, airflow.providers.amazon.aws.operators.ecs
names = [runpy.run_path(str(f))["dag"].dag_id for f in sorted(Path(sys.argv[1]).glob("*.py"))]
heavy = {"polars", "pandas", "numpy", "pyarrow", "mlflow", "lightgbm", "xgboost", "deltalake"}
import importlib.util
there = sorted(name for name in heavy if importlib.util.find_spec(name))
print(json.dumps([names, there]))
"""


@pytest.fixture
def bundle(tmp_path):
    settings = Settings(home=str(tmp_path / "home"), **ON_ECS)
    return build_bundle(settings, ROOT, tmp_path / "bundle")


def test_the_bundle_has_each_dag_and_the_rooms_it_needs(bundle):
    assert {p.stem for p in (bundle / "dags").glob("*.py")} == set(PIPELINES)
    names = zipfile.ZipFile(bundle / "plugins.zip").namelist()
    assert {"riskcast_plugin.py", "riskcast/__init__.py"} <= set(names)
    assert "riskcast_airflow/snapshots/sessions.csv" in names
    assert {n.split("/")[1] for n in names if n.startswith("riskcast/")} == {"__init__.py", *ROOMS}
    assert (bundle / "plugins.zip").stat().st_size < LARGEST_PLUGINS


def test_the_startup_script_carries_the_settings_and_no_path_of_the_builder(bundle, tmp_path):
    script = (bundle / "startup.sh").read_text()
    said = subprocess.run(
        ["sh", "-c", f". {bundle}/startup.sh; env"], env={}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    given = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("RISKCAST_"))
    assert read_settings(given).ecs_subnets == "subnet-1,subnet-2"
    assert str(tmp_path) not in script


def test_requirements_pin_nothing_that_the_image_s_constraints_decide(bundle):
    lines = (bundle / "requirements.txt").read_text().split()
    assert all(line.startswith("apache-airflow-providers-") and "=" not in line for line in lines)


def test_the_same_content_makes_the_same_archive(bundle, tmp_path):
    before = (bundle / "plugins.zip").read_bytes()
    settings = Settings(home=str(tmp_path / "home"), **ON_ECS)
    assert (build_bundle(settings, ROOT, bundle) / "plugins.zip").read_bytes() == before


def test_a_bundle_that_would_run_models_on_mwaa_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="RISKCAST_PLACE=ecs"):
        build_bundle(Settings(), ROOT, tmp_path / "bundle")


@pytest.mark.slow
def test_every_dag_imports_where_no_package_of_a_model_is_installed(bundle, tmp_path):
    """Install the slim set into an environment of its own, Python 3.12 where there is one."""
    python = next(filter(None, map(shutil.which, ("python3.12", "python3.11"))), sys.executable)
    if subprocess.run([python, "-V"], capture_output=True, check=False).returncode:
        python = sys.executable
    slim = tmp_path / "slim"
    subprocess.run([python, "-m", "venv", str(slim)], check=True, capture_output=True)
    installed = subprocess.run(
        [slim / "bin" / "python", "-m", "pip", "install", "-q", "apache-airflow==3.3.1",
         "-r", bundle / "requirements.txt", "-c", ROOT / "requirements" / "bounds.txt"],
        capture_output=True, text=True, timeout=540,  # MWAA gives nine minutes
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr[-2000:]
    plugins = tmp_path / "plugins"
    zipfile.ZipFile(bundle / "plugins.zip").extractall(plugins)
    env = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": str(plugins),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "HOME": str(tmp_path),
    }
    parse = tmp_path / "parse.py"
    parse.write_text(PARSE)
    done = subprocess.run(
        ["sh", "-c", f'. {bundle}/startup.sh; exec "$@"', "sh",
         str(slim / "bin" / "python"), str(parse), str(bundle / "dags")],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    names, heavy = json.loads(done.stdout.splitlines()[-1])
    assert set(names) == set(PIPELINES)
    assert set(heavy) <= {"numpy", "pandas"}  # what the provider itself brings


# EventBridge, for an account without Airflow.


def test_each_scheduled_pipeline_is_a_target_whose_window_ends_when_it_was_due():
    exported = targets()
    assert set(exported) == {p.name for p in PIPELINES.values() if p.schedule}
    for name, target in exported.items():
        command = target["input"]["containerOverrides"][0]["command"]
        assert command[:3] == ["riskcast", "run", name]
        assert command[-2:] == ["--end", DUE]
        assert len(target["schedule_expression"].split()) == 6
    assert exported["train_daily_risk"]["schedule_expression"] == "cron(0 6 ? * SAT *)"
    assert exported["train_daily_risk"]["task_size"] == "large"
