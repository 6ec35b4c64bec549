"""An environment on AWS as a release sees it: what `terraform output -json riskcast` says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from riskcast.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Site:
    """Names and ARNs of one environment; nothing in it is secret.

    Attributes
    ----------
    cluster : str
        ECS cluster.
    services, families : mapping of container to name
        ECS service and task definition family of ``blue``, ``green``, ``mlflow``, ``rollout``...
        Without ``green`` ECS moves the traffic itself.
    subnets, security_groups : tuple of str
        Where a task by hand is started.
    rule : str
        Listener rule whose weights split the traffic.
    groups : mapping of slot to ARN
        Target group of each slot.
    url : str
        Address of the API.
    """

    cluster: str
    services: Mapping[str, str]
    families: Mapping[str, str]
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    rule: str
    groups: Mapping[str, str]
    url: str

    @property
    def native(self) -> bool:
        """Whether ECS's own blue/green moves the traffic."""
        return "green" not in self.services


def read_site(text: str) -> Site:
    """Build the site from the JSON text.

    Raises
    ------
    SettingsError
        If the text is no such output, naming what is missing.
    """
    try:
        said = json.loads(text)
        return Site(
            cluster=said["cluster"]["name"],
            services=said["services"]["names"],
            families=said["services"]["families"],
            subnets=tuple(said["network"]["subnets"]),
            security_groups=(said["network"]["security_group"],),
            rule=said["routing"]["rule_arn"],
            groups=said["routing"]["target_group_arns"],
            url=said["urls"]["api"].rstrip("/"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"the site is no `terraform output -json riskcast`: {error!r}; see docs/aws.md"
        ) from error
