"""What Terraform lets each role do, and whether a recorded call is among it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.aws.recorder import Call
from tests.terraform.hcl import TERRAFORM, as_list, plain, read

DECLARED = json.loads((TERRAFORM / "declared.json").read_text())
EVERYWHERE = ("",)
# When a statement is there, by its sid, for a role that is a task or service with these words.
WHEN = {
    "ReadTables": lambda t: t["reads"] or t["writes"],
    "ListTables": lambda t: t["reads"] or t["writes"],
    "WriteTables": lambda t: t["writes"],
    "MirrorForecasts": lambda t: "mirror" in t["services"],
    "PublishMetrics": lambda t: "metrics" in t["services"],
    "MoveTraffic": lambda t: "traffic" in t["services"],
    "SeeTraffic": lambda t: "traffic" in t["services"],
    "SeeWhoServes": lambda t: "slot" in t["services"],
    "SendMails": lambda t: "mail" in t["services"],
    "KeepArtifacts": lambda t: "artifacts" in t["services"],
    "ListArtifacts": lambda t: "artifacts" in t["services"],
}
# The folders of the lake that a statement opens; others know no folder.
FOLDERS = {
    "ReadTables": lambda t: [*t["reads"], *t["writes"]],
    "ListTables": lambda t: [*t["reads"], *t["writes"]],
    "WriteTables": lambda t: t["writes"],
    "SeeThatStepsEndedWell": lambda t: ["runs"],
    "SeeWhetherStepsEndedAtAll": lambda t: ["runs"],
}
NOTHING: dict[str, Any] = {"reads": [], "writes": [], "services": []}


@dataclass(frozen=True, slots=True)
class Grant:
    """A statement: actions, and the keys of S3 they may touch ("" is any)."""

    sid: str
    actions: frozenset[str]
    folders: tuple[str, ...]

    def allows(self, call: Call) -> bool:
        return call.action in self.actions and any(
            not folder or call.key == folder or call.key.startswith(f"{folder}/")
            for folder in self.folders
        )


def role(module: str, document: str, words: Mapping[str, Any] = NOTHING) -> tuple[Grant, ...]:
    """Return what a policy document of a module grants to a role of these words."""
    folder = read(TERRAFORM / module if module else TERRAFORM)
    (found,) = (
        block
        for block in folder.blocks
        if block.type == "aws_iam_policy_document" and block.name == document
    )
    return tuple(_grants(found.given, words))


def _grants(given: Mapping[str, Any], words: Mapping[str, Any]) -> Iterable[Grant]:
    for statement, dynamic in _statements(given):
        sid = plain(statement["sid"])
        if dynamic and not WHEN[sid](words):
            continue
        actions = frozenset(plain(action) for action in as_list(statement["actions"]))
        folders = tuple(FOLDERS[sid](words)) if sid in FOLDERS else EVERYWHERE
        yield Grant(sid, actions, ("",) if "*" in folders else folders)


def _statements(given: Mapping[str, Any]) -> Iterable[tuple[Mapping[str, Any], bool]]:
    for statement in as_list(given.get("statement", [])):
        yield statement, False
    for item in as_list(given.get("dynamic", [])):
        for inner in item.values():
            if isinstance(inner, dict):
                for content in as_list(inner.get("content", [])):
                    yield content, True


def step(name: str) -> tuple[Grant, ...]:
    """Return what the role of a step, or of a whole pipeline, may do."""
    return role("modules/compute", "task", DECLARED["tasks"][name])


def service(name: str) -> tuple[Grant, ...]:
    """Return what the role of a long-running container may do."""
    return role("modules/serving", "service", SERVICES[name])


def _rollout() -> dict[str, Any]:
    """The words of the rollout's service, from where Terraform says them."""
    text = (TERRAFORM / "settings.tf").read_text()
    said = text[text.index("rollout = {") :]
    said = said[: said.index("}")]
    lists = {n: re.findall(r'"([^"]*)"', v) for n, v in re.findall(r"(\w+)\s*=\s*\[(.*)\]", said)}
    routes = ["traffic"] if re.search(r"routes\s*=\s*true", said) else []
    return {"reads": lists["reads"], "writes": lists["writes"], "services": routes}


SERVICES = {
    "blue": {"reads": ["*"], "writes": [], "services": ["slot"]},
    "green": {"reads": ["*"], "writes": [], "services": ["slot"]},
    "rollout": _rollout(),
}


def refused(calls: Iterable[Call], grants: Iterable[Grant]) -> list[Call]:
    """Return the calls that no statement allows, each once."""
    grants = tuple(grants)
    return [c for c in dict.fromkeys(calls) if not any(g.allows(c) for g in grants)]
