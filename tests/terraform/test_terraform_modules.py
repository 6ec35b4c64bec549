"""Terraform without a cloud: names, arguments, wiring and manners of every folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hcl2", reason="python-hcl2 of the extra dev is not installed")

from tests.terraform.hcl import TERRAFORM, Folder, as_list, folders, named_in, plain, read
from tests.terraform.readmes import readme

SCHEMA = json.loads((Path(__file__).parent / "aws_schema.json").read_text())
META = {
    "count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "dynamic",
    "timeouts",
}  # fmt: skip
MODULES = {
    "network", "storage", "secrets", "registry", "orchestrator", "compute", "serving", "database",
    "cache", "monitoring",
}  # fmt: skip
every_folder = pytest.mark.parametrize("path", folders(), ids=lambda p: p.name)


def test_the_ten_modules_and_two_environments_are_there():
    assert {path.name for path in (TERRAFORM / "modules").iterdir()} == MODULES
    assert {path.name for path in (TERRAFORM / "envs").iterdir()} == {"dev", "prod"}


@every_folder
def test_every_type_and_argument_is_the_providers(path):
    faults = [fault for block in read(path).blocks for fault in argument_faults(block)]
    assert not faults, "\n".join(faults)


def argument_faults(block: Any) -> list[str]:
    if not block.type.startswith("aws_"):
        return []
    known = SCHEMA["r" if block.kind == "resource" else "d"].get(block.type)
    if known is None:
        return [f"{block}: no such type; run make_schema.py if it is new here"]
    return [f"{block}{fault}" for fault in _faults(block.given, known)]


def _faults(given: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    names = dict(named_in(given))
    generated = [pair for item in as_list(names.get("dynamic", [])) for pair in named_in(item)]
    for name, value in [*names.items(), *generated]:
        if name in META:
            continue
        if name not in known:
            yield f": {name} is unknown"
            continue
        if "c" in known[name]:
            yield f": {name} is computed and cannot be set"
        for inner in as_list(value) if "b" in known[name] else []:
            if isinstance(inner, dict):
                content = inner["content"][0] if "content" in inner else inner
                yield from (f".{name}{fault}" for fault in _faults(content, known[name]["b"]))
    there = set(names) | {name for name, _ in generated}
    yield from (f": {n} is required" for n, e in known.items() if "r" in e and n not in there)


@every_folder
def test_every_reference_leads_somewhere(path):
    faults = reference_faults(read(path))
    assert not faults, "\n".join(faults)


def reference_faults(folder: Folder) -> list[str]:
    own = {("data." if b.kind == "data" else "") + f"{b.type}.{b.name}" for b in folder.blocks}
    faults = []
    for kind, name, attribute in folder.references():
        if kind == "var":
            known = name in folder.variables
        elif kind == "local":
            known = name in folder.locals
        elif kind == "module":
            known = name in folder.modules
            if known and attribute is not None:
                known = attribute in folder.child(name).outputs
        else:
            known = f"{kind}.{name}" in own and _has(kind, attribute)
        if not known:
            faults.append(f"{folder.path.name}: {kind}.{name}.{attribute} leads nowhere")
    return faults


def _has(kind: str, attribute: str | None) -> bool:
    if attribute is None or "aws_" not in kind:
        return True
    known = SCHEMA["d" if kind.startswith("data.") else "r"].get(kind.removeprefix("data."), {})
    # `json` of a policy document is computed by the provider and named so in every version.
    return attribute in known


@every_folder
def test_modules_are_given_what_they_ask_for_and_nothing_else(path):
    folder = read(path)
    for name, call in folder.modules.items():
        asked = folder.child(name).variables
        given = {key for key, _ in named_in(call)} - {"source", "providers", "count", "for_each"}
        assert given <= set(asked), f"{name} has no variable {sorted(given - set(asked))}"
        needed = {key for key, variable in asked.items() if "default" not in variable}
        assert needed <= given, f"{name} needs {sorted(needed - given)}"


@every_folder
def test_every_variable_is_typed_described_and_used(path):
    folder = read(path)
    used = {name for kind, name, _ in folder.references() if kind == "var"}
    for name, variable in folder.variables.items():
        assert "type" in variable, f"{name} has no type"
        assert len(plain(variable.get("description", ""))) > 8, f"{name} has no description"
        assert name in used, f"{name} is used nowhere"
    for name, output in folder.outputs.items():
        assert len(plain(output.get("description", ""))) > 8, f"output {name} has no description"


@every_folder
def test_every_local_is_used(path):
    folder = read(path)
    used = {name for kind, name, _ in folder.references() if kind == "local"}
    assert folder.locals <= used, f"unused: {sorted(folder.locals - used)}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_has_versions_readme_example_and_tests(name):
    module = TERRAFORM / "modules" / name
    assert {f"{n}.tf" for n in ("versions", "variables", "main", "outputs")} <= {
        path.name for path in module.iterdir()
    }
    assert list(module.glob("tests/*.tftest.hcl"))
    assert (module / "examples/basic/main.tf").is_file()
    assert (module / "README.md").read_text() == readme(module), (
        "stale; run python -m tests.terraform.readmes"
    )


@every_folder
def test_every_checkov_skip_says_why(path):
    for file in path.glob("*.tf"):
        for line in file.read_text().splitlines():
            if "checkov:skip" in line:
                assert re.search(r"checkov:skip=CKV2?_AWS_\d+:\S.{14,}", line), f"{file}: {line}"


def test_the_example_of_a_bad_argument_is_caught():
    folder = read(TERRAFORM / "modules/network")
    (vpc,) = (block for block in folder.blocks if block.type == "aws_vpc")
    planted = type(vpc)(vpc.path, vpc.kind, vpc.type, vpc.name, {**vpc.given, "cidr": '"x"'})
    assert any("cidr is unknown" in fault for fault in argument_faults(planted))
    (log,) = (block for block in folder.blocks if block.type == "aws_flow_log")
    bare = type(log)(log.path, "resource", "aws_iam_role_policy", "x", {"name": '"x"'})
    assert {f.split(": ")[-1] for f in argument_faults(bare)} == {
        "policy is required",
        "role is required",
    }


def test_a_reference_that_leads_nowhere_is_caught():
    folder = read(TERRAFORM / "modules/cache")
    planted = Folder(
        **{**folder.__dict__, "text": folder.text + " x = var.nowhere y = aws_vpc.gone.id "}
    )
    assert len(reference_faults(planted)) == 2


def test_weights_belong_to_the_rollout():
    serving = read(TERRAFORM / "modules/serving")
    (rule,) = (b for b in serving.blocks if b.type == "aws_lb_listener_rule" and b.name == "api")
    assert "${action}" in str(rule.given["lifecycle"]) or "action" in str(rule.given["lifecycle"])


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_terraform_is_formatted():
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", str(TERRAFORM)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
