"""The deploy workflow's own shell steps against moto's ECS and load balancer and real servers.

Processes on this machine stand in for containers, and a small proxy that splits by the weights
moto holds stands in for the load balancer. An image's tag says what kind of server it is.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import httpx
import pytest
import yaml
from tests.aws.fargate import Fargate, until
from tests.aws.grants import SERVICES, refused, role
from tests.rollout.rollout_house import PRODUCT, House

from riskcast.core.errors import ReleaseFailed
from riskcast.core.settings import PREFIX, Settings
from riskcast.registry import Registry
from riskcast.rollout.release import Release
from riskcast.rollout.site import fetch_site

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "deploy.yml"
NAME = "riskcast-test"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
# Tag to kind of server; see tests/standalone/slot_stand_in.py. "late" is bad from outside only.
KINDS = {
    "0000001": "good", "0000002": "good", "bad0005": "500", "bad0006": "schema", "dead007": "dead",
    "bad0008": "late",
}  # fmt: skip
ONLY_AFTER = "failure() && steps.deploy.outcome == 'success'"


class Front(ThreadingHTTPServer):
    """The load balancer: sends each request to a colour by the weights of the rule."""

    daemon_threads = True

    def __init__(self, ports, rule, groups):
        super().__init__(("127.0.0.1", 0), Door)
        self.ports, self.rule, self.groups, self.late = ports, rule, groups, set()
        self.elb, self.random = boto3.client("elbv2"), random.Random(1)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def weights(self):
        (found,) = self.elb.describe_rules(RuleArns=[self.rule])["Rules"]
        config = found["Actions"][0]["ForwardConfig"]["TargetGroups"]
        by_arn = {each["TargetGroupArn"]: each.get("Weight", 1) for each in config}
        return {slot: by_arn.get(arn, 0) for slot, arn in self.groups.items()}


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        weights = self.server.weights()
        (slot,) = self.server.random.choices(list(weights), list(weights.values()))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        back = http.client.HTTPConnection("127.0.0.1", self.server.ports[slot], timeout=10)
        if slot in self.server.late:
            back.close()
            self.send_error(502)
            return
        back.request("POST", self.path, body, dict(self.headers))
        answer = back.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for header in ("Content-Type", "X-Riskcast-Slot", "X-Riskcast-Model"):
            self.send_header(header, answer.headers.get(header, ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        back.close()

    def log_message(self, *_):
        pass


class Environment:
    """An environment as Terraform would leave it: services, families, rule, parameter."""

    def __init__(self, cloud, folder, database):
        self.folder = folder
        elb, ec2 = boto3.client("elbv2"), boto3.client("ec2")
        boto3.client("s3").create_bucket(Bucket="released")
        subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]][:2]
        security = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        vpc = ec2.describe_subnets()["Subnets"][0]["VpcId"]
        self.groups = {}
        for slot in ("blue", "green"):
            made = elb.create_target_group(
                Name=f"{NAME}-{slot}", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
            )["TargetGroups"][0]["TargetGroupArn"]
            elb.register_targets(TargetGroupArn=made, Targets=[{"Id": "10.0.0.9"}])
            self.groups[slot] = made
        self.rule = self._rule(elb, subnets)
        self.house = House(
            folder, database, router="alb", alb_rules=f"{PRODUCT}={self.rule}",
            alb_blue=self.groups["blue"], alb_green=self.groups["green"], lake="s3://released",
        )  # fmt: skip
        settings = self.house.settings
        self.house.settings = settings
        ports = {slot: int(getattr(settings, f"{slot}_port")) for slot in self.groups}
        self.front = Front(ports, self.rule, self.groups)
        self.house.first()
        self.fargate = Fargate(cloud, NAME, self.serve)
        self._ecs(subnets, security)
        boto3.client("ssm").put_parameter(
            Name=f"/{NAME}/site", Type="String", Value=json.dumps({
                "cluster": NAME, "services": self.services, "families": self.families,
                "subnets": subnets, "security_groups": [security], "rule": self.rule,
                "groups": self.groups, "url": f"http://127.0.0.1:{self.front.server_port}",
            }),
        )  # fmt: skip
        until(lambda: all(self.house.get(port, "/ready") for port in ports.values()))
        until(lambda: self.post().status_code == 200)

    def _rule(self, elb, subnets):
        balancer = elb.create_load_balancer(Name=NAME, Subnets=subnets)["LoadBalancers"][0]
        closed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        listener = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
            DefaultActions=[closed],
        )["Listeners"][0]["ListenerArn"]  # fmt: skip
        weighed = [
            {"TargetGroupArn": self.groups["blue"], "Weight": 100},
            {"TargetGroupArn": self.groups["green"], "Weight": 0},
        ]
        return elb.create_rule(
            ListenerArn=listener, Priority=1,
            Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
            Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weighed}}],
        )["Rules"][0]["RuleArn"]  # fmt: skip

    def _ecs(self, subnets, security):
        ecs = boto3.client("ecs")
        ecs.create_cluster(clusterName=NAME)
        self.families = {name: f"{NAME}-{name}" for name in ("blue", "green", "rollout", "mlflow")}
        settings = self.house.environment() | {"RISKCAST_MLFLOW": self.house.settings.mlflow_uri}
        for name, family in self.families.items():
            told = {"MLFLOW_BACKEND_STORE_URI": self.house.settings.mlflow_uri}
            told |= {} if name == "mlflow" else {**settings, "RISKCAST_SLOT": "blue"}
            told |= {"RISKCAST_SLOT": name} if name in self.groups else {}
            ecs.register_task_definition(
                family=family, taskRoleArn=f"arn:aws:iam::123456789012:role/{name}",
                requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
                containerDefinitions=[{
                    "name": "riskcast", "image": f"{REGISTRY}/{NAME}/serving:0000001",
                    "essential": True, "memory": 512,
                    "environment": [{"name": n, "value": v} for n, v in told.items()],
                }],
            )  # fmt: skip
        self.services = {slot: f"{NAME}-{slot}" for slot in self.groups}
        for slot, service in self.services.items():
            ecs.create_service(
                cluster=NAME, serviceName=service, taskDefinition=self.families[slot],
                desiredCount=1, launchType="FARGATE",
                networkConfiguration={
                    "awsvpcConfiguration": {"subnets": subnets, "securityGroups": [security]}
                },
            )  # fmt: skip

    def serve(self, service, definition):
        """Put what the image is into the place of the slot; say whether it lives."""
        slot = service.rpartition("-")[2]
        kind = KINDS[definition["containerDefinitions"][0]["image"].rpartition(":")[2]]
        if slot in self.house.processes:
            self.house.kill(slot)
        self.front.late -= {slot}
        if kind == "dead":
            return False
        if kind in ("good", "late"):
            command = (sys.executable, "-m", "riskcast.serving")
            self.house._run(slot, command, self.fargate.environment(definition))
            port = getattr(self.house.settings, f"{slot}_port")
            until(lambda: self.house.get(port, "/health") is not None)
            self.front.late |= {slot} if kind == "late" else set()
            return True
        self.house.processes[slot] = subprocess.Popen([
            sys.executable, str(ROOT / "tests/standalone/slot_stand_in.py"),
            getattr(self.house.settings, f"{slot}_port"), slot, kind, "1",
        ])  # fmt: skip
        return True

    def post(self):
        url = f"http://127.0.0.1:{self.front.server_port}/predict"
        return httpx.post(url, json={}, headers={"X-API-Key": self.house.key}, timeout=20)

    def images(self):
        """Return the tag of the image each colour runs."""
        ecs, found = boto3.client("ecs"), {}
        for slot, service in self.services.items():
            (said,) = ecs.describe_services(cluster=NAME, services=[service])["services"]
            task = ecs.describe_task_definition(taskDefinition=said["taskDefinition"])
            image = task["taskDefinition"]["containerDefinitions"][0]["image"]
            found[slot] = image.rpartition(":")[2]
        return found

    def traffic(self):
        return {slot: weight > 0 for slot, weight in self.front.weights().items()}

    def close(self):
        self.fargate.close()
        self.front.shutdown()
        self.front.server_close()
        self.house.close()


@pytest.fixture(scope="module")
def environment(cloud, tmp_path_factory):
    template = tmp_path_factory.mktemp("template")
    Registry(Settings(home=str(template))).alias(PRODUCT, "champion")  # makes the schema
    made = Environment(cloud, tmp_path_factory.mktemp("released"), template / "mlflow.db")
    yield made
    made.close()


def steps(job):
    """(id, condition, command, own variables) of a job's shell steps but for `make setup`."""
    for step in yaml.safe_load(WORKFLOW.read_text())["jobs"][job]["steps"]:
        if "run" in step and step["run"] != "make setup":
            yield step.get("id", ""), step.get("if", ""), step["run"], step.get("env", {})


def run_job(cloud, environment, job, tag):
    """Run a job's shell steps as GitHub would; return whether it succeeded and all it said."""
    folder = environment.folder / "checkout"
    shim = folder / ".venv" / "bin" / "riskcast"
    shim.parent.mkdir(parents=True, exist_ok=True)
    program = "from riskcast.cli import main; main()"
    shim.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$@\"\n")
    shim.chmod(0o755)
    told = {n: v for n, v in os.environ.items() if not n.startswith((PREFIX, "AWS_"))}
    told |= cloud.environment("ci") | {"RISKCAST_HOME": str(folder)}
    told |= {"SITE": f"ssm:/{NAME}/site", "IMAGE": f"{REGISTRY}/{NAME}/serving:{tag}"}
    told |= {"WHO": "ci:test", "BUDGET": "2"}
    assert variables(job) <= told.keys() | {"SMOKE_KEY"}
    outcome, said = {}, []
    for name, condition, command, own in steps(job):
        failed = "failure" in outcome.values()
        assert condition in ("", ONLY_AFTER)
        wanted = failed and outcome.get("deploy") == "success" if condition else not failed
        if not wanted:
            continue
        env = told | ({"SMOKE_KEY": environment.house.key} if "SMOKE_KEY" in own else {})
        line = command.replace("riskcast release deploy", "riskcast release deploy --patience 100")
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], cwd=folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
        )  # fmt: skip
        outcome[name or command] = "failure" if done.returncode else "success"
        said += [f"$ {command}", done.stdout.rstrip(), f"exit {done.returncode}"]
    text = "\n".join(said)
    sys.stdout.write(f"\n--- {job} of {tag}\n{text}\n")
    return "failure" not in outcome.values(), text


def variables(job):
    """Names of the variables that the job's shell steps use."""
    return set().union(*(re.findall(r"\$(\w+)", command) for _, _, command, _ in steps(job)))


def test_the_schema_is_brought_up_to_date_before_any_server_has_the_image(cloud, environment):
    done, said = run_job(cloud, environment, "migrate", "0000002")
    assert done, said


def test_a_good_image_gets_the_traffic_and_the_old_one_stays_beside_it(cloud, environment):
    done, said = run_job(cloud, environment, "deploy", "0000002")
    assert done, said
    assert environment.images() == {"blue": "0000001", "green": "0000002"}
    assert environment.traffic() == {"blue": False, "green": True}
    assert "answers from green" in said


@pytest.mark.parametrize("tag", ["bad0005", "bad0006", "dead007"])
def test_a_bad_image_gets_no_request_and_is_taken_out_again(cloud, environment, tag):
    images, traffic = environment.images(), environment.traffic()
    done, said = run_job(cloud, environment, "deploy", tag)
    assert not done and "release smoke" not in said
    assert "image of before again" in said
    assert (environment.images(), environment.traffic()) == (images, traffic)
    assert environment.post().status_code == 200


def test_an_image_that_fails_from_outside_only_is_rolled_back_by_the_smoke_test(cloud, environment):
    before = environment.traffic()
    done, said = run_job(cloud, environment, "deploy", "bad0008")
    assert not done and "release rollback" in said
    assert environment.traffic() == before
    assert set(environment.images().values()) == {"0000002"}  # the proven one, in both
    assert environment.post().status_code == 200


def test_the_ledger_says_who_moved_what_and_why(environment):
    ledger = environment.house.machine.journal.ledger().filter(action="move")
    assert [w.partition(":")[0] for w in ledger["why"]] == [
        "image 0000002",
        "image bad0008",
        "back",
    ]
    assert set(ledger["who"]) == {"ci:test"}


def test_roles_of_a_release_call_nothing_they_may_not(cloud, environment):
    made = {r: [c for c in cloud.calls if c.role == r] for r in ("ci", "rollout", "blue")}
    ci = (*role("", "deploy"), *role("modules/registry", "push"))
    assert made["ci"] and refused(made["ci"], ci) == []
    for name in ("rollout", "blue"):
        granted = role("modules/serving", "service", SERVICES[name])
        assert made[name] and refused(made[name], granted) == [], name
    assert "elasticloadbalancing:ModifyRule" not in cloud.by("ci")
    assert "elasticloadbalancing:ModifyRule" in cloud.by("rollout")


def test_where_ecs_moves_the_traffic_its_one_service_is_updated(environment):
    said = []
    site = replace(fetch_site(f"/{NAME}/site"), services={"blue": environment.services["blue"]})
    native = Release(site, PRODUCT, said.append, patience=100, pause=0.2)
    assert native.deploy(f"{REGISTRY}/{NAME}/serving:0000001", who="ci:test") == "blue"
    assert environment.images()["blue"] == "0000001" and "ECS moved the traffic" in said[-1]
    with pytest.raises(ReleaseFailed, match="stop-service-deployment"):
        native.rollback(who="ci:test", why="planted")


def test_no_release_begins_while_a_rollout_owns_the_weights(cloud, environment):
    elb = boto3.client("elbv2")
    (rule,) = elb.describe_rules(RuleArns=[environment.rule])["Rules"]
    groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    shared = [{"TargetGroupArn": g["TargetGroupArn"], "Weight": 5} for g in groups]
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": shared}}
    elb.modify_rule(RuleArn=environment.rule, Actions=[forward])
    images = environment.images()
    done, said = run_job(cloud, environment, "deploy", "0000001")
    elb.modify_rule(RuleArn=environment.rule, Actions=rule["Actions"])
    assert not done and "rollout-under-way" in said
    assert environment.images() == images
