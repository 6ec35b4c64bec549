"""Write aws_schema.json: the provider's schema of the types that terraform/ uses.

    pip download --no-deps cdktf-cdktf-provider-aws
    python tests/terraform/make_schema.py cdktf_cdktf_provider_aws-*.whl

The wheel carries the whole provider as an assembly of jsii. Of each argument kept are its kind (a
Terraform type, "block" or "blocks"), whether it is required ("r") or computed ("c"), and the
arguments inside a block ("b"). Run it again when a new type of resource is used.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[1] / "terraform"
META = {
    "connection", "count", "dependsOn", "forEach", "lifecycle", "provider", "provisioners",
    "cdktfStack", "fqn",
}  # fmt: skip
PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool"}
# cdktf calls it by another name, so that its documentation names no type.
BY_HAND = {
    "aws_wafv2_web_acl_association": {
        "resource_arn": {"k": "string", "r": 1},
        "web_acl_arn": {"k": "string", "r": 1},
        "id": {"k": "string", "c": 1},
    }
}


def main(wheel: str) -> None:
    """Read the wheel, write the schema beside this file."""
    types = assembly(Path(wheel))
    used = {
        name
        for path in TERRAFORM.rglob("*.tf*")
        for name in re.findall(r'"(aws_\w+)"', path.read_text())
    }
    schema: dict[str, dict[str, Any]] = {"r": dict(BY_HAND), "d": {}}
    for fqn, kind in types.items():
        base = kind.get("base", "")
        said = re.search(
            r"/docs/(?:resources|data-sources)/\w+ (\w+)", kind.get("docs", {}).get("summary", "")
        )
        if base not in ("cdktf.TerraformResource", "cdktf.TerraformDataSource") or not said:
            continue
        name = said[1].removeprefix("data_")
        if name in used - set(BY_HAND):
            schema["r" if base.endswith("Resource") else "d"][name] = whole(types, fqn, kind)
    _statements(schema["r"]["aws_wafv2_web_acl"])
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    (HERE / "aws_schema.json").write_text(text.replace('"aws_', '\n"aws_') + "\n")


def assembly(wheel: Path) -> dict[str, Any]:
    """Return the types of the assembly inside the wheel."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = (n for n in files.namelist() if n.endswith(".jsii.tgz"))
        packed = io.BytesIO(files.read(name))
    with tarfile.open(fileobj=packed) as files:
        content = files.extractfile("package/.jsii")
        if content is None:
            raise SystemExit(f"{wheel} holds no assembly")
        return dict(json.load(content)["types"])


def whole(types: dict[str, Any], fqn: str, kind: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a resource and what it computes."""
    out = _block(types, fqn + "Config", ())
    for prop in kind.get("properties", []):
        name = _snake(prop["name"])
        if prop.get("static") or prop["name"].endswith("Input") or prop["name"] in META:
            continue
        if name not in out:
            form, inner = _kind(types, prop["type"])
            out[name] = {"k": "dynamic" if inner else form, "c": 1}
    out.setdefault("id", {"k": "string"})
    return out


def _block(types: dict[str, Any], fqn: str, seen: tuple[str, ...]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for prop in types[fqn].get("properties", []):
        if prop["name"] in META and not seen:
            continue
        form, inner = _kind(types, prop["type"])
        said = re.search(r"#(\w+) ", json.dumps(prop.get("docs", {})))
        entry: dict[str, Any] = {"k": form}
        if not prop.get("optional"):
            entry["r"] = 1
        if inner:
            entry["b"] = {} if inner in seen else _block(types, inner, (*seen, fqn))
        out[said[1] if said else _snake(prop["name"])] = entry
    return out


def _kind(types: dict[str, Any], given: dict[str, Any]) -> tuple[Any, str]:
    """Return the kind, and for a block the name of its type."""
    if "primitive" in given:
        return PRIMITIVES.get(given["primitive"], "dynamic"), ""
    if "union" in given:
        real = [t for t in given["union"]["types"] if t.get("fqn") != "cdktf.IResolvable"]
        return _kind(types, real[0])
    if "collection" in given:
        form, inner = _kind(types, given["collection"]["elementtype"])
        plural = "map" if given["collection"]["kind"] == "map" else "list"
        return ("blocks", inner) if inner else ([plural, form], "")
    fqn = given["fqn"]
    if fqn.startswith("@cdktf/provider-aws") and types[fqn]["kind"] == "interface":
        return "block", fqn
    return "dynamic", ""


def _statements(acl: dict[str, Any]) -> None:
    """Give the firewall its statements, which cdktf knows as anything at all."""
    nothing = {"k": "block", "b": {}}
    text, number = {"k": "string", "r": 1}, {"k": "number", "r": 1}
    actions = {name: nothing for name in ("allow", "block", "count")}
    match = {
        "positional_constraint": text,
        "search_string": text,
        "field_to_match": {
            "k": "block",
            "b": {"uri_path": nothing, "single_header": {"k": "block", "b": {"name": text}}},
        },
        "text_transformation": {"k": "blocks", "b": {"priority": number, "type": text}},
    }
    override = {"name": text, "action_to_use": {"k": "block", "b": actions}}
    inner = {
        "managed_rule_group_statement": {
            "k": "block",
            "b": {
                "name": text,
                "vendor_name": text,
                "rule_action_override": {"k": "blocks", "b": override},
            },
        },
        "rate_based_statement": {
            "k": "block",
            "b": {"limit": number, "aggregate_key_type": {"k": "string"}},
        },
        "byte_match_statement": {"k": "block", "b": match},
    }
    both = {"and_statement": {"k": "block", "b": {"statement": {"k": "blocks", "b": inner}}}}
    acl["rule"]["b"]["statement"] = {"k": "block", "b": {**inner, **both}}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
