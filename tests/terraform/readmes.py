"""README.md of each module from its code: ``python -m tests.terraform.readmes``."""

from __future__ import annotations

import re
from pathlib import Path

from tests.terraform.hcl import TERRAFORM, plain, read

MARK = "<!-- below: written by `python -m tests.terraform.readmes` from the code -->"


def readme(module: Path) -> str:
    """Return the module's README: the part written by hand, then its inputs and outputs."""
    path = module / "README.md"
    by_hand = path.read_text().split(MARK)[0].rstrip() if path.exists() else f"# {module.name}"
    folder = read(module)
    lines = [by_hand, "", MARK, "", "## Inputs", "", "| name | type | default | meaning |"]
    lines.append("|---|---|---|---|")
    for name, variable in folder.variables.items():
        default = "required" if "default" not in variable else _short(variable["default"])
        kind = _short(variable["type"])
        lines.append(f"| {name} | {kind} | {default} | {plain(variable['description'])} |")
    lines += ["", "## Outputs", "", "| name | meaning |", "|---|---|"]
    lines += [f"| {n} | {plain(o['description'])} |" for n, o in folder.outputs.items()]
    lines += ["", "## Resources", ""]
    types = sorted({block.type for block in folder.blocks if block.kind == "resource"})
    lines += [", ".join(f"`{each}`" for each in types), ""]
    return "\n".join(lines)


def _short(value: object) -> str:
    text = re.sub(r"\s+", " ", str(value).strip('"').removeprefix("${").removesuffix("}"))
    text = text.replace("|", "\\|").replace("'\"", '"').replace("\"'", '"')
    return f"`{text}`" if len(text) <= 60 else f"`{text.split('(')[0]}(...)`"


if __name__ == "__main__":
    for each in sorted((TERRAFORM / "modules").iterdir()):
        (each / "README.md").write_text(readme(each))
