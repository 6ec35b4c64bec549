"""An environment on AWS as a release sees it: what Terraform writes of it into a parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from riskcast.core.errors import SettingsError, StackError


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
            cluster=said["cluster"],
            services=said["services"],
            families=said["families"],
            subnets=tuple(said["subnets"]),
            security_groups=tuple(said["security_groups"]),
            rule=said["rule"],
            groups=said["groups"],
            url=said["url"].rstrip("/"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"the site is not what terraform/ci.tf writes: {error!r}; apply it again"
        ) from error


def fetch_site(parameter: str) -> Site:
    """Return the site in a parameter of Systems Manager.

    Raises
    ------
    StackError
        If it cannot be read.
    SettingsError
        If it holds something else.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        said = boto3.client("ssm").get_parameter(Name=parameter)
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"the parameter {parameter} cannot be read: {error}; Terraform writes it, and the "
            "role that releases may read it"
        ) from error
    return read_site(said["Parameter"]["Value"])
