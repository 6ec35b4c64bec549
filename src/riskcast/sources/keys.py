"""Keys of vendors: from the environment or a file only its owner can read. Never printed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riskcast.core.errors import SourceRefused

SHORTEST_KEY = 8
# Nothing else may enter a header or a query.
KEY = re.compile(rf"[A-Za-z0-9._~-]{{{SHORTEST_KEY},200}}")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Where keys lie.

    Attributes
    ----------
    folder : Path
        ``<home>/keys``.
    environ : mapping, optional
        The process's environment when None.
    """

    folder: Path
    environ: Mapping[str, str] | None = None

    def cure(self, vendor: str) -> str:
        """Say where the key of a vendor belongs."""
        return f"put it alone into {self._path(vendor)} (mode 0600) or set {_variable(vendor)}"

    def find(self, vendor: str) -> str | None:
        """Return the vendor's key, None where there is none.

        Raises
        ------
        SourceRefused
            If the file can be read by others, or holds something that is no key.
        """
        environ = os.environ if self.environ is None else self.environ
        if given := environ.get(_variable(vendor), "").strip():
            return _checked(given, _variable(vendor))
        path = self._path(vendor)
        if not path.is_file():
            return None
        if path.stat().st_mode & 0o077:
            raise SourceRefused(f"{path} can be read by others; run chmod 600 on it")
        return _checked(path.read_text(encoding="utf-8", errors="replace").strip(), str(path))

    def need(self, vendor: str, page: str) -> str:
        """Return the vendor's key; raise SourceRefused, naming the page that gives one, without."""
        key = self.find(vendor)
        if key is None:
            raise SourceRefused(f"no key for {vendor}: get one at {page} and {self.cure(vendor)}")
        return key

    def _path(self, vendor: str) -> Path:
        return self.folder / f"{vendor}.key"


def _variable(vendor: str) -> str:
    return f"{vendor.upper()}_API_KEY"


def _checked(key: str, place: str) -> str:
    if not KEY.fullmatch(key):
        raise SourceRefused(f"{place} holds no key: 8 or more letters, digits or ._~- are expected")
    return key
