"""Model files as data: JSON in, JSON out, and a named refusal of anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from riskcast.core.errors import ArtifactRefused
from riskcast.models.base import Floats


def pack(content: Mapping[str, Any]) -> bytes:
    """Return UTF-8 JSON; floats survive to the bit because their shortest repr is written.

    Raises ValueError on NaN or infinity: no fitted number may be either.
    """
    return json.dumps(content, allow_nan=False, sort_keys=True).encode()


class Fields:
    """Checked access to the fields of one JSON file.

    Raises
    ------
    ArtifactRefused
        From every method, naming the file and field, if the content is not what is asked for.
    """

    def __init__(self, files: Mapping[str, bytes], name: str) -> None:
        self.name = name
        if name not in files:
            raise ArtifactRefused(f"{name} is missing; the model has {sorted(files)}")
        try:
            content = json.loads(files[name])
        except (ValueError, RecursionError) as error:  # ValueError: also bytes that are no UTF-8
            raise ArtifactRefused(f"{name} is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise ArtifactRefused(f"{name} holds a {type(content).__name__}, not an object")
        self.content: dict[str, Any] = content

    def _get(self, field: str, kind: type | tuple[type, ...]) -> Any:
        value = self.content.get(field)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ArtifactRefused(f"{self.name}: {field!r} is {value!r:.60}, not {kind}")
        return value

    def text(self, field: str) -> str:
        return str(self._get(field, str))

    def texts(self, field: str) -> tuple[str, ...]:
        value = self._get(field, list)
        if not all(isinstance(item, str) for item in value) or len(set(value)) < len(value):
            raise ArtifactRefused(f"{self.name}: {field!r} is not a list of distinct names")
        return tuple(value)

    def number(self, field: str) -> float:
        return float(self._floats(field, [self._get(field, (int, float))])[0])

    def numbers(self, field: str, length: int | None = None) -> Floats:
        """Return finite numbers, shape (length,); any length if None."""
        array = self._floats(field, self._get(field, list))
        if length is not None and len(array) != length:
            raise ArtifactRefused(f"{self.name}: {field!r} has {len(array)} values, not {length}")
        return array

    def _floats(self, field: str, value: list[Any]) -> Floats:
        plain = all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
        try:
            array = np.array(value if plain else [np.nan], dtype=np.float64)
        except OverflowError as error:
            raise ArtifactRefused(f"{self.name}: {field!r} holds too large a number") from error
        if not np.isfinite(array).all():
            raise ArtifactRefused(f"{self.name}: {field!r} holds something that is no number")
        return array

    def session(self, field: str) -> date:
        text = self.text(field)
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise ArtifactRefused(f"{self.name}: {field!r} {text!r} is no date") from error

    def objects(self, field: str) -> list[Fields]:
        value = self._get(field, list)
        names = [f"{self.name}: {field}[{i}]" for i in range(len(value))]
        return [
            Fields({name: json.dumps(item).encode()}, name)
            for name, item in zip(names, value, strict=True)
        ]
