"""Names to objects: declarations name functions by string so that reading them imports nothing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from riskcast.core.errors import DeclarationError


def load(path: str) -> Any:
    """Return the object at ``"package.module:name"``."""
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeclarationError(f"{path!r} names nothing that can be imported: {error}") from error
