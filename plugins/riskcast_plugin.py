"""Tells Airflow of what the riskcast_airflow package adds to it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from riskcast_airflow.timetables import (
    AskedForTimetable,
    ReleaseCalendarTimetable,
    SessionCloseTimetable,
)


class RiskcastPlugin(AirflowPlugin):
    """Timetables must be registered before a DAG that uses them can be stored."""

    name = "riskcast"
    timetables = (AskedForTimetable, ReleaseCalendarTimetable, SessionCloseTimetable)
