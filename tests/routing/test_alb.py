"""The load balancer's router against moto's server: weights, shares, figures, refusals."""

import http.server
import threading
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from tests.moto_aws import REGION, moto_aws

from riskcast.core.errors import StackError
from riskcast.core.settings import Settings
from riskcast.routing import SLOTS, Traffic, open_router
from riskcast.routing.alb import AlbRouter, Balancer, alb_router

PRODUCT = "daily_risk"
SHARES = (5, 25, 50)


@pytest.fixture(scope="module")
def aws():
    with moto_aws() as address:
        yield address


@pytest.fixture
def settings(aws, request):
    """Settings of a load balancer with a rule for /predict and a healthy target in each group."""
    elb, ec2 = boto3.client("elbv2"), boto3.client("ec2")
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{z}")
        for n, z in enumerate("ab")
    ]
    ids = [each["Subnet"]["SubnetId"] for each in subnets]
    balancer = elb.create_load_balancer(Name=name, Subnets=ids)["LoadBalancers"][0]
    groups = {}
    for slot in SLOTS:
        made = elb.create_target_group(
            Name=f"{name}-{slot}", Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip"
        )
        groups[slot] = made["TargetGroups"][0]["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=groups[slot], Targets=[{"Id": "10.0.0.9"}])
    missing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=missing,
    )["Listeners"][0]["ListenerArn"]
    rule = elb.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/predict"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": groups["blue"]}],
    )["Rules"][0]["RuleArn"]
    yield Settings(
        router="alb",
        alb_rules=f"{PRODUCT}={rule}",
        alb_blue=groups["blue"],
        alb_green=groups["green"],
    )
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])


def _weights(settings):
    """Return the weights as AWS itself describes them, in percent of their sum."""
    arn = settings.alb_rule_arns[PRODUCT]
    (rule,) = boto3.client("elbv2").describe_rules(RuleArns=[arn])["Rules"]
    listed = rule["Actions"][-1]["ForwardConfig"]["TargetGroups"]
    by_arn = {each["TargetGroupArn"]: int(each["Weight"]) for each in listed}
    whole = sum(by_arn.values())
    return tuple(100 * by_arn[arn] / whole for arn in (settings.alb_blue, settings.alb_green))


def test_the_settings_choose_the_router(settings):
    assert isinstance(open_router(settings), AlbRouter)


def test_traffic_goes_to_blue_until_it_is_switched(settings):
    router = alb_router(settings)
    assert router.active(PRODUCT) == "blue"
    router.switch(PRODUCT, "green")
    assert (router.active(PRODUCT), _weights(settings)) == ("green", (0, 100))
    router.switch(PRODUCT, "green")
    router.switch(PRODUCT, "blue")
    assert (router.active(PRODUCT), _weights(settings)) == ("blue", (100, 0))


@pytest.mark.parametrize("active", SLOTS)
def test_a_share_is_at_most_what_was_asked_and_the_active_colour_stays(settings, active):
    router = alb_router(settings)
    router.switch(PRODUCT, active)
    for percent in SHARES:
        router.canary(PRODUCT, percent)
        share = _weights(settings)[active == "blue"]
        assert percent - 0.11 <= share <= percent
        assert router.active(PRODUCT) == active
    router.canary(PRODUCT, 0)
    assert _weights(settings)[active == "blue"] == 0
    router.canary(PRODUCT, 50)
    router.switch(PRODUCT, active)
    assert _weights(settings)[active == "blue"] == 0


def test_a_share_that_is_no_declared_step_is_refused(settings):
    with pytest.raises(StackError, match="5, 25, 50"):
        alb_router(settings).canary(PRODUCT, 10)


def test_a_slot_without_healthy_targets_gets_no_traffic(settings):
    boto3.client("elbv2").deregister_targets(
        TargetGroupArn=settings.alb_green, Targets=[{"Id": "10.0.0.9"}]
    )
    router = alb_router(settings)
    for move in (
        lambda: router.switch(PRODUCT, "green"),
        lambda: router.canary(PRODUCT, 5),
    ):
        with pytest.raises(StackError, match=r"none healthy"):
            move()
    assert router.active(PRODUCT) == "blue"


def test_other_actions_of_the_rule_stay(settings):
    elb, arn = boto3.client("elbv2"), settings.alb_rule_arns[PRODUCT]
    login = {
        "Type": "authenticate-cognito",
        "Order": 1,
        "AuthenticateCognitoConfig": {
            "UserPoolArn": "arn:aws:cognito-idp:eu-west-1:1:userpool/p",
            "UserPoolClientId": "c",
            "UserPoolDomain": "d",
        },
    }
    forward = {"Type": "forward", "Order": 2, "TargetGroupArn": settings.alb_blue}
    elb.modify_rule(RuleArn=arn, Actions=[login, forward])
    alb_router(settings).switch(PRODUCT, "green")
    (rule,) = elb.describe_rules(RuleArns=[arn])["Rules"]
    assert [each["Type"] for each in rule["Actions"]] == ["authenticate-cognito", "forward"]
    assert _weights(settings) == (0, 100)


class _Slot(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Riskcast-Slot", "blue")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_switch_that_answers_do_not_show_is_undone(settings):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Slot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    groups = {"blue": settings.alb_blue, "green": settings.alb_green}
    url = f"http://127.0.0.1:{server.server_port}"
    router = AlbRouter(Balancer(settings.alb_rule_arns, groups, url, SHARES), patience=1.0)
    try:
        router.switch(PRODUCT, "blue")
        with pytest.raises(StackError, match="answered by blue"):
            router.switch(PRODUCT, "green")
    finally:
        server.shutdown()
        server.server_close()
    assert _weights(settings) == (100, 0)


def test_requests_cannot_be_copied_and_that_is_said(settings):
    router = alb_router(settings)
    router.mirror(PRODUCT, False)
    with pytest.raises(StackError, match="no mirror"):
        router.mirror(PRODUCT, True)


def test_traffic_is_what_cloudwatch_counted_since_the_minute(settings):
    now = datetime.now(UTC)
    elb, cloudwatch = boto3.client("elbv2"), boto3.client("cloudwatch")
    balancers = elb.describe_load_balancers()["LoadBalancers"]
    names = [each["LoadBalancerArn"].partition("loadbalancer/")[2] for each in balancers]
    (name,) = (each for each in names if each in settings.alb_rule_arns[PRODUCT])
    dimensions = [
        {"Name": "TargetGroup", "Value": settings.alb_green.rpartition(":")[2]},
        {"Name": "LoadBalancer", "Value": name},
    ]
    router = alb_router(settings)
    for name, value, minutes in (
        ("RequestCount", 70, 0),
        ("RequestCount", 30, 2),
        ("RequestCount", 1000, 30),
        ("HTTPCode_Target_5XX_Count", 4, 2),
        ("TargetConnectionErrorCount", 3, 0),
    ):
        cloudwatch.put_metric_data(
            Namespace="AWS/ApplicationELB",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": dimensions,
                    "Timestamp": now - timedelta(minutes=minutes),
                    "Value": value,
                }
            ],
        )
    found = router.traffic(PRODUCT, now - timedelta(minutes=5))
    assert (found["green"].requests, found["green"].errors) == (100, 7)
    assert found["blue"] == Traffic()


def test_what_aws_refuses_is_a_named_error(settings):
    groups = {"blue": settings.alb_blue, "green": settings.alb_green}
    gone = settings.alb_rule_arns[PRODUCT][:-4] + "0000"
    with pytest.raises(StackError, match="RISKCAST_ALB_"):
        AlbRouter(Balancer({PRODUCT: gone}, groups, "", SHARES)).active(PRODUCT)
    with pytest.raises(StackError, match="no listener rule"):
        AlbRouter(Balancer({}, groups, "", SHARES)).active(PRODUCT)
    swapped = {"blue": settings.alb_green, "green": settings.alb_green}
    with pytest.raises(StackError, match="neither"):
        AlbRouter(Balancer(settings.alb_rule_arns, swapped, "", SHARES)).active(PRODUCT)
