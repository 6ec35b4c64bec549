"""Airflow DAG: on its calendar, the mixture fit that names the market's regimes from then on.

Runbook: docs/runbook.md. A fit serves only sessions after its last one and is never rewritten.
"""

from riskcast.pipelines import pipeline
from riskcast_airflow.dag import build_dag

dag = build_dag(pipeline("fit_regimes"), doc_md=__doc__)
