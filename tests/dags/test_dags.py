"""DAG files: thin, complete, fast to parse, and the pipelines' own order."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pendulum
import pytest

from riskcast.core.window import Window
from riskcast.pipelines import PIPELINES, pipeline

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = {
    "pandas", "polars", "numpy", "pyarrow", "mlflow", "lightgbm", "xgboost", "deltalake",
    "sklearn", "feast", "scipy", "exchange_calendars", "fastapi", "boto3",
}  # fmt: skip

PARSE = """
import json, runpy, sys
sys.path.insert(0, {plugins!r})
import airflow.sdk, airflow.providers.standard.operators.bash
before = set(sys.modules)
if {files!r}:
    from airflow.sdk import DAG
for file in {files!r}:
    assert isinstance(runpy.run_path(file)["dag"], DAG)
print(json.dumps(sorted({{m.split(".")[0] for m in set(sys.modules) - before}})))
"""


@pytest.fixture(scope="session")
def bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags"))


def imported_by(files: list[str]) -> set[str]:
    """Parse the files in a fresh process; return the packages that came with them."""
    code = PARSE.format(plugins=str(ROOT / "plugins"), files=files)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_pipeline_has_its_dag_and_no_file_fails_to_import(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == set(PIPELINES)
    assert len(FILES) == len(PIPELINES)


def test_a_dag_is_called_as_its_file(bag):
    assert {Path(dag.fileloc).stem: dag_id for dag_id, dag in bag.dags.items()} == {
        name: name for name in PIPELINES
    }


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_dag_file_is_short_and_found_by_safe_mode(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 15
    assert "airflow" in text.lower() and "dag" in text.lower()


def test_parsing_all_dags_imports_no_heavy_package():
    modules = imported_by([str(file) for file in FILES])
    assert not modules & HEAVY
    assert "riskcast" in modules


def test_the_import_check_sees_a_heavy_import(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("import polars\n" + FILES[0].read_text())
    modules = imported_by([str(planted)])
    assert "polars" in modules & HEAVY


def test_tasks_depend_on_each_other_as_the_steps_do(bag):
    for name, declared in PIPELINES.items():
        dag = bag.dags[name]
        assert set(dag.task_ids) == {step.name for step in declared.steps}
        for step in declared.steps:
            upstream = {before.name for before in declared.upstream(step)}
            assert dag.get_task(step.name).upstream_task_ids == upstream


def test_features_wait_for_what_they_read_and_for_nothing_after_them(bag):
    upstream = bag.dags["market_daily"].get_task("features").upstream_task_ids
    assert {"curate_market", "curate_macro"} <= upstream
    assert not upstream & {"labels", "forecast", "publish", "materialise"}


def rendered(dag, step_name: str, run_id: str = "manual__1", **context) -> list[str]:
    """The words of a step's command line."""
    (words,) = every_rendered(dag, step_name, run_id, **context)
    return words


def every_rendered(dag, step_name: str, run_id: str = "manual__1", **context) -> list[list[str]]:
    """Those of each of its members. Airflow's own rendering needs a running task."""
    filters = dag.user_defined_filters
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    jinja.filters.update(filters)
    task = dag.get_task(step_name)
    lines = task.expand_input.value["bash_command"] if task.is_mapped else [task.bash_command]
    given = {"run_id": run_id, **dag.user_defined_macros, **context}
    return [shlex.split(jinja.from_string(line).render(given)) for line in lines]


def a_run(start=None, end=None, run_type="manual"):
    return SimpleNamespace(
        run_id="manual__1", run_type=run_type, data_interval_start=start, data_interval_end=end
    )


def test_a_rendered_command_carries_the_data_interval_as_its_window(bag):
    start, end = pendulum.datetime(2018, 12, 28, 22, 5), pendulum.datetime(2018, 12, 31, 22, 5)
    for name, declared in PIPELINES.items():
        for step in declared.steps:
            lines = every_rendered(
                bag.dags[name],
                step.name,
                dag_run=a_run(start, end),
                params={"start": None, "end": None, **dict.fromkeys(declared.params, "1")},
                triggering_asset_events={},
            )
            for words, member in zip(lines, step.members() or ("",), strict=True):
                said, executable, run, pipeline_name, step_name, *options = words
                assert (said, run) == ("exec", "run")
                assert executable == str(Path(sys.executable).with_name("riskcast"))
                assert (pipeline_name, step_name) == (name, step.name)
                assert Window.parse(options[1], options[3]) == Window(start, end)
                named = ["--member", member] if member else []
                assert options[4:][: len(named)] == named
                rest = options[4 + len(named) :]
                assert rest[:3] == ["--run-id", "manual__1", "--no-backfill"]


def test_candidates_are_trained_side_by_side_in_tasks_named_after_them(bag):
    walk = bag.dags["train_daily_risk"].get_task("walk")
    members = pipeline("train_daily_risk").step("walk").members()
    assert len(members) == len(set(members)) > 1
    assert walk.is_mapped and walk.pool_slots == 1
    for index, member in enumerate(members):
        template = jinja2.Environment(autoescape=False).from_string(walk.map_index_template)
        assert template.render(ti=SimpleNamespace(map_index=index)) == member


def test_a_run_by_hand_may_name_its_window_and_a_backfill_says_that_it_is_one(bag):
    words = rendered(
        bag.dags["market_daily"],
        "features",
        dag_run=a_run(run_type="backfill"),
        params={"start": "2018-12-01T00:00:00+00:00", "end": "2018-12-31T22:05:00+00:00"},
        triggering_asset_events={},
    )
    assert words[6:9:2] == ["2018-12-01T00:00:00+00:00", "2018-12-31T22:05:00+00:00"]
    assert "--backfill" in words


def test_a_run_that_assets_started_has_the_window_of_the_runs_that_sent_the_events(bag):
    sent = [
        SimpleNamespace(extra={"start": "2018-12-27T22:05:00+00:00", "as_of": day})
        for day in ("2018-12-28T22:05:00+00:00", "2018-12-31T22:05:00+00:00")
    ]
    words = rendered(
        bag.dags["forecast_daily"],
        "forecast",
        dag_run=a_run(run_type="asset_triggered"),
        params={"start": None, "end": None},
        triggering_asset_events={"features_daily": sent},
    )
    assert words[6:9:2] == ["2018-12-27T22:05:00+00:00", "2018-12-31T22:05:00+00:00"]


@pytest.mark.parametrize("name", ["deploy", "rollback"])
def test_a_run_by_hand_without_a_schedule_has_a_window_that_a_step_accepts(bag, name):
    asked_at = pendulum.datetime(2018, 12, 31, 23, 30)
    words = rendered(
        bag.dags[name],
        name,
        dag_run=a_run(asked_at, asked_at),  # as Airflow makes it
        params=dict.fromkeys(("start", "end", "version", "who", "why")),
        triggering_asset_events={},
    )
    window = Window.parse(words[words.index("--start") + 1], words[words.index("--end") + 1])
    assert window.end == asked_at


def test_a_run_without_any_window_is_refused_with_the_cure(bag):
    from airflow.exceptions import AirflowException

    with pytest.raises(AirflowException, match="trigger it with both"):
        rendered(
            bag.dags["market_daily"],
            "features",
            dag_run=a_run(),
            params={"start": None, "end": None},
            triggering_asset_events={},
        )


def test_no_value_of_a_run_can_break_out_of_the_command_line(bag):
    words = rendered(
        bag.dags["market_daily"],
        "features",
        dag_run=a_run(pendulum.datetime(2018, 1, 1), pendulum.datetime(2018, 1, 2)),
        params={"start": None, "end": None},
        triggering_asset_events={},
        run_id="x; touch /tmp/y",
    )
    assert "x; touch /tmp/y" in words


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "version="), ("7", "version=7"), ("7'; touch /tmp/y", "version=7'; touch /tmp/y")],
)
def test_a_parameter_reaches_the_step_as_one_word_and_may_be_left_out(bag, given, said):
    dag = bag.dags["deploy"]
    assert all(dag.params.get_param(name).schema["type"][0] == "null" for name in dag.params)
    words = rendered(
        dag,
        "deploy",
        dag_run=a_run(pendulum.datetime(2018, 1, 1), pendulum.datetime(2018, 1, 2)),
        params={"start": None, "end": None, "version": given, "who": None, "why": None},
        triggering_asset_events={},
    )
    assert said in words


def test_steps_pass_their_failure_and_settings_on(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            given = task.partial_kwargs if task.is_mapped else vars(task)
            assert not given["skip_on_exit_code"]
            assert given["append_env"] and not any(k.startswith("RISKCAST_") for k in given["env"])
            assert task.execution_timeout is not None
            assert task.retries == pipeline(dag.dag_id).step(task.task_id).retries


def test_each_scheduled_run_of_market_daily_is_one_session_day(bag):
    from airflow.timetables.base import DataInterval, TimeRestriction

    dag = bag.dags["market_daily"]
    assert not dag.catchup
    assert dag.max_active_runs == 1
    assert dag.start_date.year == 1990
    timetable = dag.timetable
    interval = DataInterval(
        pendulum.datetime(2018, 12, 26, 22, 5), pendulum.datetime(2018, 12, 27, 22, 5)
    )
    ends = []
    for _ in range(3):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=interval,
            restriction=TimeRestriction(earliest=dag.start_date, latest=None, catchup=True),
        )
        assert info.data_interval.start == interval.end
        interval = info.data_interval
        ends.append(interval.end.date().isoformat())
    assert ends == ["2018-12-28", "2018-12-31", "2019-01-02"]


def test_data_that_ends_in_the_past_is_run_on_request_only(bag):
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    for dag in bag.dags.values():
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        question = TimeRestriction(earliest=dag.start_date, latest=None, catchup=False)
        asked = stored.timetable.next_dagrun_info(
            last_automated_data_interval=None, restriction=question
        )
        assert asked is None
    backfill = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["market_daily"]))
    runs = list(
        backfill.iter_dagrun_infos_between(
            pendulum.datetime(2018, 12, 17), pendulum.datetime(2018, 12, 28)
        )
    )
    # An interval is named by its start, so the last one reaches to the tick of the 28th. The 25th
    # has no session.
    assert [run.data_interval.end.day for run in runs] == [18, 19, 20, 21, 24, 26, 27, 28]


def test_a_manual_run_without_an_interval_gets_the_last_complete_one(bag):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = bag.dags["market_daily"]
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    inferred = timetable.infer_manual_data_interval(
        run_after=pendulum.instance(datetime(2018, 12, 31, 12, 0, tzinfo=UTC))
    )
    assert inferred.start == pendulum.datetime(2018, 12, 27, 22, 5)
    assert inferred.end == pendulum.datetime(2018, 12, 28, 22, 5)


def test_an_unknown_place_is_refused_at_parse():
    env = os.environ | {"RISKCAST_PLACE": "moon"}
    code = PARSE.format(plugins=str(ROOT / "plugins"), files=[str(FILES[0])])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert "RISKCAST_PLACE='moon'" in done.stderr
