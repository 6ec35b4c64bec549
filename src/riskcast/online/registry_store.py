"""Feast's registry in a file that is replaced whole.

Feast writes over the file in place: a run killed or out of room in that moment would leave half a
registry, and no later run could read it to mend it.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from feast.infra.registry.file import FileRegistryStore
from feast.utils import _utc_now


class ReplacingRegistryStore(FileRegistryStore):  # type: ignore[misc]
    """Named in the configuration; Feast makes it."""

    def update_registry_proto(self, registry_proto: Any) -> None:
        """Write the registry beside the old one and put it in its place by one rename."""
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(_utc_now())
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        beside = self._filepath.with_name(f".{self._filepath.name}.{os.getpid()}")
        with beside.open("wb") as file:
            file.write(registry_proto.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._filepath)
