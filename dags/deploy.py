"""Airflow DAG: rolls out the newest version that passed the gate, step by step, to all traffic.

Runbook: docs/runbook.md. What fails a check is taken back; what served before goes on serving.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("deploy"), doc_md=__doc__)
