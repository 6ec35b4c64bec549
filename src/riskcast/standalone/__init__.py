"""The stack on one machine: every server from wheels under one supervisor."""

from riskcast.standalone.layout import airflow_password, connected
from riskcast.standalone.report import status, tail_logs
from riskcast.standalone.stack import Progress, down, up

__all__ = ["Progress", "airflow_password", "connected", "down", "status", "tail_logs", "up"]
