"""Airflow DAG: every Saturday, walk-forward evaluation, gate, registration and a fresh forecast.

Runbook: docs/runbook.md. A refused candidate changes nothing: the champion stays.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("train_daily_risk"), doc_md=__doc__)
