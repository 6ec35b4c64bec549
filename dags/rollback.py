"""Airflow DAG: returns to the champion before.

Runbook: docs/runbook.md. Ends in seconds; nothing is lost.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("rollback"), doc_md=__doc__)
