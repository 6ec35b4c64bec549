"""Settings as a command means them."""

from __future__ import annotations

from riskcast.core.settings import Settings, read_settings


def client_settings() -> Settings:
    """Return the settings, pointing at the stack's MLflow and Redis while it runs.

    Otherwise a command beside a running stack would write to a registry that nobody serves from.
    """
    settings = read_settings()
    if settings.mlflow:  # said explicitly: by the user, or by the stack to its own tasks
        return settings
    from riskcast.standalone import connected, running

    return connected(settings) if running(settings) else settings
