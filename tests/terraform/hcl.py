"""Terraform folders as plain values, read with python-hcl2. Nothing here knows AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).parents[2] / "terraform"
REFERENCE = re.compile(
    r"(?<![\w.\"/-])(?:(?P<data>data)\.)?(?P<kind>var|local|module|aws_\w+|random_\w+)"
    r"\.(?P<name>[A-Za-z_][\w-]*)(?:\.(?P<attribute>[A-Za-z_]\w*))?"
)


@dataclass(frozen=True)
class Block:
    """A resource or data source: where it stands, its type, name and arguments."""

    path: Path
    kind: str  # "resource" or "data"
    type: str
    name: str
    given: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.path.relative_to(TERRAFORM)}: {self.kind} {self.type}.{self.name}"


@dataclass(frozen=True)
class Folder:
    """What the *.tf files of a folder declare together."""

    path: Path
    blocks: tuple[Block, ...]
    variables: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    locals: frozenset[str]
    modules: dict[str, dict[str, Any]]
    text: str  # without comments

    def child(self, name: str) -> Folder:
        """The folder a module call points to."""
        return read((self.path / plain(self.modules[name]["source"])).resolve())

    def references(self) -> Iterator[tuple[str, str, str | None]]:
        """(kind, name, attribute) of everything the folder refers to; data as "data.<type>"."""
        for found in REFERENCE.finditer(self.text):
            kind = ("data." if found["data"] else "") + found["kind"]
            yield kind, found["name"], found["attribute"]


def folders() -> list[Path]:
    return sorted({path.parent for path in TERRAFORM.rglob("versions.tf")})


@cache
def read(path: Path) -> Folder:
    """Read a folder.

    Raises whatever python-hcl2 raises where a file does not parse.
    """
    blocks: list[Block] = []
    named: dict[str, dict[str, dict[str, Any]]] = {"variable": {}, "output": {}, "module": {}}
    local: set[str] = set()
    text = ""
    for file in sorted(path.glob("*.tf")):
        source = file.read_text()
        text += re.sub(r"(?m)#.*$", "", source)
        tree = hcl2.loads(source)
        for kind in ("resource", "data"):
            for item in tree.get(kind, []):
                for type_, inner in named_in(item):
                    blocks += [Block(file, kind, type_, n, given) for n, given in named_in(inner)]
        for kind, found in named.items():
            for item in tree.get(kind, []):
                found.update(named_in(item))
        for item in tree.get("locals", []):
            local.update(name for name, _ in named_in(item))
    return Folder(
        path, tuple(blocks), named["variable"], named["output"], frozenset(local),
        named["module"], text,
    )  # fmt: skip


def named_in(item: dict[str, Any]) -> list[tuple[str, Any]]:
    """The entries of a block, without the parser's own notes."""
    return [(plain(name), value) for name, value in item.items() if not name.startswith("__")]


def plain(text: Any) -> Any:
    """A string without the quotes the parser leaves."""
    return text.strip('"') if isinstance(text, str) else text


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
