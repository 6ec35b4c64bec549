"""A new image of the servers: started in the idle colour, given the traffic, and taken back.

The champion stays what it is. What moves the traffic is the machine of rollouts, in a task inside
the network; here servers are started, tasks run and what they did is seen. AWS is reached as
boto3 is told by the usual ``AWS_*`` names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from riskcast.core.clock import seconds
from riskcast.core.errors import ReleaseFailed, RolloutUnderWay
from riskcast.rollout.site import Site
from riskcast.routing import OTHER
from riskcast.routing.alb import AlbRouter, Balancer, asking

CONTAINER = "riskcast"
# What `register_task_definition` takes of what `describe_task_definition` says.
KEPT = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
    "placementConstraints", "requiresCompatibilities", "cpu", "memory", "runtimePlatform",
    "ephemeralStorage",
)  # fmt: skip
# The variable is read in the container, where ECS has put the login as well.
MIGRATE = ("sh", "-ec", 'exec mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"')
Tell = Callable[[str], None]
_asking = partial(asking, see="the role that releases and terraform/ci.tf")


class Release:
    """Images on one site.

    Parameters
    ----------
    patience : float
        Seconds in which a service must stand and a task must end.
    pause : float
        Seconds between looks.
    """

    def __init__(
        self, site: Site, product: str, tell: Tell, *, patience: float = 900.0, pause: float = 5.0
    ) -> None:
        self._site, self._product, self._tell = site, product, tell
        self._patience, self._pause = patience, pause
        balancer = Balancer({product: site.rule}, site.groups, "", ())
        self._router = AlbRouter(balancer)

    def migrate(self, image: str) -> None:
        """Bring MLflow's database to the schema of the image; again changes nothing.

        It runs before the server has that image, because MLflow serves no older schema.

        Raises
        ------
        ReleaseFailed
            If the task fails; the server before goes on with the schema it knows.
        """
        self._run("mlflow", MIGRATE, image)
        self._tell("mlflow's database has its newest schema")

    def deploy(self, image: str, *, who: str) -> str:
        """Start the image in the idle colour and move the traffic there; return that colour.

        Raises
        ------
        RolloutUnderWay
            If both colours have traffic: a rollout owns them now.
        ReleaseFailed
            If the image does not start or a check of the rollout fails. The traffic is where it
            was, and the idle colour has its image of before again.
        """
        if self._site.native:
            self._update("blue", self._revision("blue", image))
            self._tell(f"blue runs {image}; ECS moved the traffic")
            return "blue"
        idle = OTHER[self._quiet()]
        before = self._service(idle)["taskDefinition"]
        try:
            self._update(idle, self._revision(idle, image))
            self._tell(f"{idle} runs {image}, without traffic")
            self._move(f"image {image.rpartition(':')[2]}", who)
        except ReleaseFailed:
            self._update(idle, before)
            self._tell(f"{idle} has its image of before again; the traffic stayed where it was")
            raise
        self._tell(f"{idle} has all traffic")
        return idle

    def rollback(self, *, who: str, why: str) -> str:
        """Move the traffic back, and put the image that proved itself into both colours.

        Return the colour that serves.

        Raises
        ------
        ReleaseFailed
            If the other colour does not pass the rollout's checks either, or ECS moves the
            traffic itself.
        """
        if self._site.native:
            raise ReleaseFailed(
                "ECS moves the traffic here; `aws ecs stop-service-deployment --stop-type ROLLBACK`"
            )
        bad = self._quiet()
        self._move(f"back: {why}", who)
        good = self._definition(self._service(OTHER[bad])["taskDefinition"])
        self._update(bad, self._revision(bad, _image(good)))
        self._tell(f"{OTHER[bad]} has all traffic again; {bad} runs its image {_image(good)} too")
        return OTHER[bad]

    def _quiet(self) -> str:
        """Return the colour that has the traffic, if one has all of it."""
        weights = self._router.weights(self._product)
        if all(weights.values()):
            raise RolloutUnderWay(
                f"{self._product}: both colours have traffic ({weights}), so a rollout is under "
                "way; release again when `riskcast rollout status` says that it is settled"
            )
        return self._router.active(self._product)

    def _move(self, why: str, who: str) -> None:
        self._run("rollout", ("riskcast", "rollout", "move", "--why", why, "--who", who))

    def _revision(self, container: str, image: str) -> str:
        """Return the family's newest revision with the image; it is registered if it has another.

        The newest, not the one that runs: Terraform may have changed its settings meanwhile.
        """
        newest = self._definition(self._site.families[container])
        if _image(newest) == image:
            return str(newest["taskDefinitionArn"])
        for each in newest["containerDefinitions"]:
            if each["name"] == CONTAINER:
                each["image"] = image
        with _asking(f"register the next revision of {newest['family']}"):
            made = self._ecs.register_task_definition(
                **{key: newest[key] for key in KEPT if newest.get(key)}
            )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _update(self, slot: str, definition: str) -> None:
        """Give the service the revision and wait until it alone runs."""
        name = self._site.services[slot]
        with _asking(f"update the service {name}"):
            self._ecs.update_service(
                cluster=self._site.cluster, service=name, taskDefinition=definition
            )
        until, state = seconds() + self._patience, ""
        while state != "COMPLETED":
            if seconds() > until:
                raise ReleaseFailed(
                    f"{name} does not run {definition} after {self._patience:g} s; its log says why"
                )
            time.sleep(self._pause)
            before, state = state, self._state(slot, definition)
            # Given up by ECS, a deployment fails and is gone a while later.
            if state == "FAILED" or (before and not state):
                raise ReleaseFailed(
                    f"ECS gave up {definition} in {name}: its containers do not stay healthy; "
                    "their log says why"
                )

    def _state(self, slot: str, definition: str) -> str:
        """Return the state of the revision's deployment; empty if there is none."""
        service = self._service(slot)
        states = {d["taskDefinition"]: d["rolloutState"] for d in service["deployments"]}
        alone = len(states) == 1 and service["runningCount"] == service["desiredCount"]
        state = str(states.get(definition, ""))
        return state if alone or state != "COMPLETED" else "IN_PROGRESS"

    def _run(self, container: str, command: Sequence[str], image: str = "") -> None:
        """Run a command in the newest revision of a container's family and see that it ends well.

        With an image, in that one; otherwise in the one it has.

        Raises
        ------
        ReleaseFailed
            If it does not start, ends with another code than 0, or does not end in time.
        """
        site, family = self._site, self._site.families[container]
        definition = self._revision(container, image) if image else family
        network = {
            "subnets": list(site.subnets),
            "securityGroups": list(site.security_groups),
            "assignPublicIp": "DISABLED",
        }
        with _asking(f"run a task of {family}"):
            said = self._ecs.run_task(
                cluster=site.cluster,
                taskDefinition=definition,
                launchType="FARGATE",
                startedBy="release",
                networkConfiguration={"awsvpcConfiguration": network},
                overrides={"containerOverrides": [{"name": CONTAINER, "command": list(command)}]},
            )
        if not said["tasks"]:
            raise ReleaseFailed(f"a task of {family} was not started: {said['failures']}")
        ended = self._ended(str(said["tasks"][0]["taskArn"]), family)
        code = ended["containers"][0].get("exitCode")
        if code != 0:
            reason = ended.get("stoppedReason") or "its log says why"
            raise ReleaseFailed(
                f"`{' '.join(command[:3])}` in {family} ended with {code}: {reason}"
            )

    def _ended(self, task: str, family: str) -> dict[str, Any]:
        until = seconds() + self._patience
        while True:
            with _asking(f"follow the task of {family}"):
                said = self._ecs.describe_tasks(cluster=self._site.cluster, tasks=[task])
            (found,) = said["tasks"]
            if found["lastStatus"] == "STOPPED":
                return dict(found)
            if seconds() > until:
                raise ReleaseFailed(f"the task {task} did not end in {self._patience:g} s")
            time.sleep(self._pause)

    def _service(self, slot: str) -> dict[str, Any]:
        name = self._site.services[slot]
        with _asking(f"describe the service {name}"):
            said = self._ecs.describe_services(cluster=self._site.cluster, services=[name])
        if not said["services"]:
            raise ReleaseFailed(f"the cluster {self._site.cluster} has no service {name}")
        return dict(said["services"][0])

    def _definition(self, family: str) -> dict[str, Any]:
        with _asking(f"describe the task definition {family}"):
            said = self._ecs.describe_task_definition(taskDefinition=family)
        return dict(said["taskDefinition"])

    @cached_property
    def _ecs(self) -> Any:
        import boto3

        return boto3.client("ecs")


def _image(definition: dict[str, Any]) -> str:
    found = definition["containerDefinitions"]
    return next(str(c["image"]) for c in found if c["name"] == CONTAINER)
