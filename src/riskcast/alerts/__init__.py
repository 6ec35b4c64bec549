"""Tells people: mails, what they say and how they are sent."""

from riskcast.alerts.mail import Mail, send

__all__ = ["Mail", "send"]
