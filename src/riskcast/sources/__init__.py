"""Where data comes from: the bundled sample, a folder of files, or live vendors."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from riskcast.core.settings import Settings
from riskcast.sources.base import Source
from riskcast.sources.files import FilesSource
from riskcast.sources.sample import SampleSource
from riskcast.sources.shifted import ShiftedSource


def open_source(settings: Settings) -> Source:
    """Return the source that the settings name; nothing is read or asked yet."""
    if settings.source == "live":
        # Imported here: HTTP and its retries are no business of a run on files.
        from riskcast.sources.live import LiveSource

        return LiveSource(settings)
    if settings.source == "files":
        return FilesSource(Path(settings.files), settings.asset_symbol)
    sample = SampleSource(settings.asset_symbol)
    if not settings.sample_shift:
        return sample
    since, _, factor = settings.sample_shift.partition(":")
    return ShiftedSource(sample, settings.asset_symbol, date.fromisoformat(since), float(factor))


__all__ = ["FilesSource", "SampleSource", "Source", "open_source"]
