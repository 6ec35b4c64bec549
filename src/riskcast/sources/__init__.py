"""Where data comes from: the bundled sample or a folder of files."""

from __future__ import annotations

from pathlib import Path

from riskcast.core.settings import Settings
from riskcast.sources.base import Source
from riskcast.sources.files import FilesSource
from riskcast.sources.sample import SampleSource


def open_source(settings: Settings) -> Source:
    """Return the source that the settings name; nothing is read yet."""
    if settings.source == "files":
        return FilesSource(Path(settings.files), settings.asset_symbol)
    return SampleSource(settings.asset_symbol)


__all__ = ["FilesSource", "SampleSource", "Source", "open_source"]
