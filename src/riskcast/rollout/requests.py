"""What a person or a job asks for, and whether it may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from riskcast.registry import CHAMPION, ModelVersion
from riskcast.rollout.state import PROMOTE, ROLLBACK

PRODUCTION, STAGING, ARCHIVED, NO_STAGE = "Production", "Staging", "Archived", "None"
VERDICT, OVERRIDE, APPROVED, REFUSED = "verdict", "override", "approved", "rollout_refused"


@dataclass(frozen=True, slots=True)
class Request:
    """A change in the registry that no rollout has made.

    Attributes
    ----------
    version : str
        Version to promote; for a rollback the one to leave.
    how : str
        What was changed, in words.
    """

    action: str
    version: str
    how: str


def find_request(versions: Sequence[ModelVersion], champion: str | None) -> Request | None:
    """Return what was asked for by moving the alias champion or a stage; None if all is as it was.

    Parameters
    ----------
    champion : str or None
        What the last rollout made champion: against this, not against what was seen last, so that
        no change is missed while nobody looks and none of our own is taken for a request.
    """
    for version in versions:
        if CHAMPION in version.aliases and version.version != champion:
            return Request(PROMOTE, version.version, f"alias {CHAMPION} was moved")
    for version in versions:
        if version.stage == PRODUCTION and version.version != champion:
            return Request(PROMOTE, version.version, f"stage {PRODUCTION} was set")
        if version.stage == ARCHIVED and version.version == champion:
            return Request(ROLLBACK, version.version, f"stage {ARCHIVED} was set")
    return None


def refusal(
    version: str,
    judged: Mapping[str, str],
    override: str,
    pinned: str | None,
    *,
    automatic: bool = False,
) -> str:
    """Return why a version may not be promoted; empty if it may.

    Parameters
    ----------
    judged : mapping
        ``verdict`` and ``reason`` of the gate; empty if it never judged the version.
    override : str
        Reason to promote it all the same: lifts the gate's verdict, never a pin.
    """
    if automatic and pinned is not None and pinned != version:
        return f"version {pinned} is pinned; `riskcast models unpin` lifts that"
    verdict = judged.get(VERDICT, "")
    if verdict == "promote" or override:
        return ""
    told = f"failed the gate: {judged.get('reason', verdict)}" if verdict else "never met the gate"
    return f"version {version} {told}; the tag {OVERRIDE}=<reason> on it lifts that"


def stages(
    versions: Sequence[ModelVersion], champion: str | None, challenger: str | None
) -> dict[str, str]:
    """Return the legacy stage of every version; former champions and challengers are archived."""
    said = {}
    for version in versions:
        if version.version == champion:
            said[version.version] = PRODUCTION
        elif version.version == challenger:
            said[version.version] = STAGING
        else:
            said[version.version] = NO_STAGE if version.stage == NO_STAGE else ARCHIVED
    return said
