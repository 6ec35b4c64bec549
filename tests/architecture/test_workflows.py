"""Workflows of GitHub: pinned, with few rights, and no text of others in a shell's line."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
every = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)


def read(path):
    said = yaml.safe_load(path.read_text())
    said["on"] = said.pop(True)  # YAML 1.1 reads the key `on` as true
    return said


def test_the_workflows_are_there():
    names = {path.stem for path in WORKFLOWS}
    assert names >= {"check", "plan", "apply", "deploy", "release"}


@every
def test_every_action_is_pinned_by_its_full_sha_with_its_version_beside_it(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    foreign = [each for each in used if not each.startswith("./")]
    assert [each for each in foreign if not PINNED.fullmatch(each)] == []


@every
def test_a_job_has_the_rights_it_names_and_an_end(path):
    said = read(path)
    assert said["permissions"] == {}
    for name, job in said["jobs"].items():
        assert job["permissions"], name
        assert "uses" in job or job["timeout-minutes"] <= 90, name


@every
def test_no_expression_stands_in_a_shell_line(path):
    for job in read(path)["jobs"].values():
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), step


@every
def test_needs_scripts_and_called_workflows_exist(path):
    said = read(path)
    for job in said["jobs"].values():
        assert {job["needs"]} <= said["jobs"].keys() if "needs" in job else True
        if "uses" in job:
            called = read(ROOT / job["uses"])["on"]["workflow_call"]["inputs"]
            assert job["with"].keys() == called.keys()
        for step in job.get("steps", []):
            for script in re.findall(r"\.github/scripts/[\w.-]+", step.get("run", "")):
                assert os.access(ROOT / script, os.X_OK), script


@every
def test_a_checkout_leaves_no_token_behind(path):
    for job in read(path)["jobs"].values():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_terraform_is_given_every_variable_of_an_environment_that_has_no_default():
    text = (ROOT / "terraform" / "envs" / "prod" / "variables.tf").read_text()
    needed = {
        name for name, body in re.findall(r'variable "(\w+)" \{(.*?)\n\}', text, re.S)
        if "default" not in body or name == "github_repository"
    }  # fmt: skip
    for name in ("plan", "apply"):
        (job,) = read(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"].values()
        given = {n.removeprefix("TF_VAR_") for n in job["env"] if n.startswith("TF_VAR_")}
        assert needed <= given, name


@pytest.fixture
def changelog(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- later\n\n## 1.2.0 (2026-11-21)\n\n- this\n\n"
        "## 1.1.0\n\n- old\n"
    )
    script = ROOT / ".github" / "scripts" / "notes.sh"

    def notes(version):
        return subprocess.run([script, version], cwd=tmp_path, capture_output=True, text=True)

    return notes


def test_the_notes_of_a_release_are_its_section_of_the_changelog(changelog):
    assert changelog("1.2.0").stdout.strip() == "- this"


def test_a_release_without_its_version_or_notes_is_refused(changelog, tmp_path):
    assert "pyproject.toml says 1.2.0" in changelog("1.3.0").stderr
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- later\n")
    refused = changelog("1.2.0")
    assert refused.returncode == 1 and "no section" in refused.stderr
