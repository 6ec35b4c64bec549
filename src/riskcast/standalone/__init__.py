"""The stack on one machine: every server from wheels under one supervisor."""

from riskcast.standalone.layout import airflow_password, airflow_url, connected
from riskcast.standalone.report import status, tail_logs
from riskcast.standalone.stack import Progress, down, running, up

__all__ = [
    "Progress",
    "airflow_password",
    "airflow_url",
    "connected",
    "down",
    "running",
    "status",
    "tail_logs",
    "up",
]
