"""All DAG tests share one Airflow home."""

from tests.dags import airflow_home  # noqa: F401, set on import
