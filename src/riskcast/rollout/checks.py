"""What a server's answers say about it: each check returns what is wrong, if anything. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from riskcast.rollout.golden import difference, numbers
from riskcast.rollout.state import Policy
from riskcast.routing import Traffic

FEW = 20  # requests below which a latency says nothing
NOISE_SECONDS = 0.25  # on a busy machine any server may take so long once


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered to one request; status 0 where nothing came.

    Attributes
    ----------
    said : mapping
        The JSON body; empty if it was none.
    """

    status: int
    seconds: float
    said: Mapping[str, Any] = field(default_factory=dict)


def check_golden(recorded: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> str:
    """Compare answers to requests recorded at training with what was recorded."""
    for number, (request, answer) in enumerate(zip(recorded, answers, strict=True), start=1):
        if why := malformed(answer) or difference(request, answer.said):
            return f"golden request {number}: {why}"
    return ""


def malformed(answer: Answer) -> str:
    """Return what is wrong with a forecast by itself."""
    if answer.status != 200:
        code = answer.said.get("error", {}) if isinstance(answer.said, Mapping) else {}
        told = code.get("code", "") if isinstance(code, Mapping) else ""
        return f"answered {answer.status or 'nothing'} {told}".rstrip()
    try:
        found = dict(numbers(answer.said))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"the answer is not of the API's shape: {error!r}"
    if odd := [name for name, value in found.items() if not math.isfinite(value)]:
        return f"{odd[0]} is {found[odd[0]]}"
    if found["rv_5d_hat"] <= 0:
        return f"rv_5d_hat is {found['rv_5d_hat']}"
    return ""


def check_answers(new: Sequence[Answer], old: Sequence[Answer], policy: Policy) -> str:
    """Compare answers of both colours to the same requests, asked in turn.

    Where the old colour does not answer either, only the new one's own answers count.
    """
    wrong = [why for answer in new if (why := malformed(answer))]
    if len(wrong) > policy.max_errors * len(new):
        return f"{len(wrong)} of {len(new)} requests: {wrong[0]}"
    pairs = [(a, b) for a, b in zip(new, old, strict=True) if not (malformed(a) or malformed(b))]
    for ours, theirs in pairs:
        gap = abs(math.log(ours.said["rv_5d_hat"] / theirs.said["rv_5d_hat"]))
        if gap > policy.max_divergence:
            return f"ln rv differs by {gap:.2f} between the colours, above {policy.max_divergence}"
    if not pairs:
        return ""
    return _slow(
        float(np.median([a.seconds for a, _ in pairs])),
        float(np.median([b.seconds for _, b in pairs])),
        policy,
    )


def check_mirrored(copies: Sequence[Mapping[str, Any]], old: Traffic, policy: Policy) -> str:
    """Judge what became of copied requests in the idle colour.

    Parameters
    ----------
    copies : sequence of mapping
        With status, seconds, and rv_5d_hat where the status is 200.
    old : Traffic
        How the active colour fared meanwhile.
    """
    if not copies:
        return ""
    wrong = [c for c in copies if c["status"] >= 500 or not _finite(c)]
    if len(wrong) > max(1, policy.max_errors * len(copies)):
        return f"{len(wrong)} of {len(copies)} copied requests failed, first {wrong[0]}"
    if min(len(copies), old.requests) < FEW:
        return ""
    own = float(np.percentile([copy["seconds"] for copy in copies], 95))
    return _slow(own, old.p95_seconds, policy)


def check_traffic(new: Traffic, old: Traffic, version: str, policy: Policy) -> str:
    """Judge how the new version fares with real requests.

    `old` may have had no requests: after the flip there is nothing to compare with.
    """
    if new.errors > max(1.0, policy.max_errors * new.requests):
        return f"{new.errors} of {new.requests} requests failed"
    others = {name: count for name, count in new.versions.items() if name.split("/")[-1] != version}
    if sum(others.values()) > max(1.0, policy.max_errors * new.requests):
        return f"{others} answered in place of version {version}"
    if min(new.requests, old.requests) < FEW:
        return ""
    return _slow(new.p95_seconds, old.p95_seconds, policy)


def _finite(copy: Mapping[str, Any]) -> bool:
    if copy["status"] != 200:
        return True
    value = copy.get("rv_5d_hat")
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _slow(new: float, old: float, policy: Policy) -> str:
    if new <= max(NOISE_SECONDS, policy.max_slowdown * old):
        return ""
    return (
        f"latency {new * 1e3:.0f} ms beside {old * 1e3:.0f} ms of the serving colour, above "
        f"{policy.max_slowdown:g} times"
    )
