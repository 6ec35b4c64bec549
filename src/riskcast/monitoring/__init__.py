"""Watches what was promised: realised skill, drift, freshness. Pure; nothing here is sent."""
