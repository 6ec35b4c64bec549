"""Airflow DAG: when features have changed, the forecasts of the sessions they are about.

Runbook: docs/runbook.md. A forecast that was published for a session stands.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("forecast_daily"), doc_md=__doc__)
