"""Blue and green behind an AWS load balancer: the weights of two target groups in a listener rule.

The weights are the only state: the colour with the larger one is active, the other's part of both
is the canary share. AWS is reached as boto3 is told by the usual ``AWS_*`` names.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from riskcast.core.clock import seconds, wall
from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.routing.base import (
    OTHER,
    SLOT_HEADER,
    SLOTS,
    Traffic,
    check_product,
    check_share,
    check_slot,
)

WHOLE = 999  # the largest weight there is; odd, so that half of it is still the smaller part
PERIOD = 60  # seconds; CloudWatch keeps a load balancer's figures by the minute
NAMESPACE = "AWS/ApplicationELB"
# Figure of a target group to statistic.
METRICS = {
    "RequestCount": "Sum",
    "HTTPCode_Target_5XX_Count": "Sum",
    "TargetConnectionErrorCount": "Sum",
    "TargetResponseTime": "p95",
}


@dataclass(frozen=True, slots=True)
class Balancer:
    """What moves a product's traffic in AWS.

    Attributes
    ----------
    rules : mapping of product to ARN
        Listener rules, each with a forward action.
    groups : mapping of slot to ARN
        Target groups of the slots.
    url : str
        Address of the load balancer; empty where it cannot be reached from here, and then a
        change is verified by what AWS says alone.
    shares : tuple of int
        Percentages that a canary can be given.
    """

    rules: Mapping[str, str]
    groups: Mapping[str, str]
    url: str
    shares: tuple[int, ...]


class AlbRouter:
    """Router of an application load balancer; boto3 is imported on first use."""

    copies = False

    def __init__(self, balancer: Balancer, *, patience: float = 30.0) -> None:
        self._balancer, self._patience = balancer, patience

    def active(self, product: str) -> str:
        weights = self.weights(product)
        return "green" if weights["green"] > weights["blue"] else "blue"

    def switch(self, product: str, slot: str) -> None:
        check_slot(slot)
        before = self.weights(product)
        self._check_healthy(product, slot)
        self._weigh(product, {slot: WHOLE, OTHER[slot]: 0})
        try:
            self._await_answers(product, slot)
        except StackError:
            self._weigh(product, before)
            raise

    def canary(self, product: str, percent: int) -> None:
        check_product(product)
        check_share(percent, self._balancer.shares)
        active = self.active(product)
        if percent:
            self._check_healthy(product, OTHER[active])
        share = math.floor(WHOLE * percent / 100)
        self._weigh(product, {active: WHOLE - share, OTHER[active]: share})

    def mirror(self, product: str, on: bool) -> None:
        """Refuse to copy requests, which no load balancer of AWS does; off is always so."""
        check_product(product)
        if on:
            raise StackError(
                f"requests of {product} cannot be copied: an application load balancer has no "
                "mirror; post golden requests to the idle slot's /admin/mirror instead"
            )

    def traffic(self, product: str, since: datetime) -> Mapping[str, Traffic]:
        """Return what CloudWatch counted, in whole minutes from that of `since`, minutes late.

        `p95_seconds` is that of the worst minute; versions are not known to AWS.
        """
        # arn:aws:elasticloadbalancing:region:account:listener-rule/app/NAME/ID/listener/rule
        balancer = "/".join(self._rule(product).partition("listener-rule/")[2].split("/")[:3])
        return {slot: self._counted(self._balancer.groups[slot], balancer, since) for slot in SLOTS}

    @cached_property
    def _elb(self) -> Any:
        import boto3

        return boto3.client("elbv2")

    @cached_property
    def _cloudwatch(self) -> Any:
        import boto3

        return boto3.client("cloudwatch")

    def _rule(self, product: str) -> str:
        check_product(product)
        if product not in self._balancer.rules:
            raise StackError(f"RISKCAST_ALB_RULES names no listener rule of {product}")
        return self._balancer.rules[product]

    def _forward(self, product: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return all actions of the rule and the one that forwards, which is part of them."""
        arn = self._rule(product)
        with asking(f"read the rule {arn}"):
            (rule,) = self._elb.describe_rules(RuleArns=[arn])["Rules"]
        actions = rule["Actions"]
        for action in actions:
            if action["Type"] == "forward":
                return actions, action
        raise StackError(f"the rule {arn} of RISKCAST_ALB_RULES has no forward action")

    def weights(self, product: str) -> dict[str, int]:
        """Return the weight of each slot, as AWS has it."""
        _, action = self._forward(product)
        # A rule with one target group may name it without a weight.
        config = action.get("ForwardConfig") or {}
        listed = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn")}]
        found = {each["TargetGroupArn"]: int(each.get("Weight", 1)) for each in listed}
        if strange := set(found) - set(self._balancer.groups.values()):
            raise StackError(
                f"the rule of {product} forwards to {sorted(map(str, strange))}, neither "
                "RISKCAST_ALB_BLUE nor RISKCAST_ALB_GREEN"
            )
        return {slot: found.get(arn, 0) for slot, arn in self._balancer.groups.items()}

    def _weigh(self, product: str, weights: Mapping[str, int]) -> None:
        """Set the weights and see that AWS has them; other actions of the rule stay."""
        actions, action = self._forward(product)
        action.pop("TargetGroupArn", None)
        action["ForwardConfig"] = {
            "TargetGroups": [
                {"TargetGroupArn": arn, "Weight": weights[slot]}
                for slot, arn in self._balancer.groups.items()
            ],
            # A client that stuck to a colour would not follow a rollback.
            "TargetGroupStickinessConfig": {"Enabled": False},
        }
        with asking(f"weigh the target groups of {product}"):
            self._elb.modify_rule(RuleArn=self._rule(product), Actions=actions)
        until = seconds() + self._patience
        while (seen := self.weights(product)) != weights:
            if seconds() > until:
                raise StackError(f"{product} was to be weighed {dict(weights)}, AWS says {seen}")
            time.sleep(0.5)

    def _check_healthy(self, product: str, slot: str) -> None:
        arn = self._balancer.groups[slot]
        with asking(f"ask after the targets of {slot}"):
            found = self._elb.describe_target_health(TargetGroupArn=arn)
        states = [each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]]
        if "healthy" not in states:
            raise StackError(
                f"{product} was not sent to {slot}: its target group has "
                f"{', '.join(states) or 'no targets'}, none healthy"
            )

    def _await_answers(self, product: str, slot: str) -> None:
        """Wait until the load balancer answers from the slot, where it can be reached."""
        if not self._balancer.url:
            return
        import httpx

        until, served = seconds() + self._patience, ""
        while served != slot:
            if seconds() > until:
                raise StackError(
                    f"{product} was sent to {slot}, but {self._balancer.url} was answered by "
                    f"{served or 'nobody'} for {self._patience:g} s; the change is undone"
                )
            try:
                answer = httpx.get(f"{self._balancer.url}/health", timeout=5.0)
            except httpx.HTTPError:
                served = ""
            else:
                served = answer.headers.get(SLOT_HEADER, "")
            time.sleep(0.0 if served == slot else 0.5)

    def _counted(self, group: str, balancer: str, since: datetime) -> Traffic:
        dimensions = [
            {"Name": "TargetGroup", "Value": group.rpartition(":")[2]},
            {"Name": "LoadBalancer", "Value": balancer},
        ]
        queries: list[dict[str, Any]] = [
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions,
                    },
                    "Period": PERIOD,
                    "Stat": statistic,
                },
            }
            for number, (name, statistic) in enumerate(METRICS.items())
        ]  # fmt: skip
        start = since.replace(second=0, microsecond=0)
        end = max(wall(), start) + timedelta(seconds=PERIOD)
        with asking(f"read the figures of {group}"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=start, EndTime=end
            )
            values: dict[str, list[float]] = {query["Id"]: [] for query in queries}
            for page in pages:
                for result in page["MetricDataResults"]:
                    values[result["Id"]] += result["Values"]
        requests, answered_5xx, unanswered, p95 = values.values()
        errors = sum(answered_5xx) + sum(unanswered)
        return Traffic(int(sum(requests)), int(errors), max(p95, default=0.0))


def alb_router(settings: Settings) -> AlbRouter:
    """Return the router of the load balancer in the settings."""
    groups = {"blue": settings.alb_blue, "green": settings.alb_green}
    url = settings.alb_url.rstrip("/")
    return AlbRouter(Balancer(settings.alb_rule_arns, groups, url, settings.canary_shares))


@contextmanager
def asking(
    what: str, see: str = "the credentials and the RISKCAST_ALB_ settings"
) -> Iterator[None]:
    """Name what was asked of AWS, and what to look at, where it refuses or does not answer.

    Raises
    ------
    StackError
        In place of any error of boto3.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StackError(
            f"could not {what}: {error}; see AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, {see}"
        ) from error
