"""Pipelines as Airflow DAGs: the only package that imports airflow."""
