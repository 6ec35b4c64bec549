"""Airflow DAG: at each official release instant, the figures with their vintages, aligned.

Runbook: docs/runbook.md. The instants come from a snapshot of the release calendar.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("macro_release"), doc_md=__doc__)
