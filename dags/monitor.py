"""Airflow DAG: after each session, what was promised beside what came; drift and mails follow.

Runbook: docs/runbook.md. A run says what follows and does it: nothing, a retrain or a rollback.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("monitor"), doc_md=__doc__)
