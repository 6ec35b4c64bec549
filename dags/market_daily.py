"""Airflow DAG: after each session, bars and macro values in, features, labels and forecast out.

Runbook: docs/runbook.md. Run any range again with a backfill, or once over the whole range by
triggering with a data interval.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("market_daily"), doc_md=__doc__)
