"""Airflow DAG: after each session, what was forecast beside what came: drift, skill, freshness.

Runbook: docs/runbook.md. Drift starts train_daily_risk; a tripped guardrail takes it back.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("monitor"), doc_md=__doc__)
