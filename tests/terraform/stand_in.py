# /// script
# requires-python = ">=3.11"
# dependencies = ["tf==1.2.0", "grpcio>=1.67"]
# ///
"""A provider that is nothing but its schema, so that Terraform itself can check without a network.

    uv run --no-project tests/terraform/stand_in.py

`terraform validate` and `terraform test` with mocked providers ask a provider for its schema and
for nothing else. This one answers from aws_schema.json over a socket; it plans and makes nothing.
It validates every folder of terraform/, runs every .tftest.hcl and ends with 1 if any fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as services

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[1] / "terraform"
REGISTRY = "registry.terraform.io/hashicorp"
SINGLE, LIST = 1, 2  # how blocks nest, in Terraform's protocol
TAGS = {"k": "block", "b": {"tags": {"k": ["map", "string"]}}}
PROVIDER = {"region": {"k": "string"}, "default_tags": TAGS}
RANDOM = {
    "random_password": {
        "length": {"k": "number", "r": 1},
        "special": {"k": "bool"},
        "keepers": {"k": ["map", "string"]},
        "result": {"k": "string", "c": 1},
        "id": {"k": "string", "c": 1},
    }
}


class StandIn(services.ProviderServicer):
    """Answers what the checks ask; agrees to everything the schema allows."""

    def __init__(self, provider: dict[str, Any], resources: dict[str, Any], data: dict[str, Any]):
        self._schema = wire.GetProviderSchema.Response(
            provider=wire.Schema(block=block(provider)),
            resource_schemas={n: wire.Schema(block=block(d)) for n, d in resources.items()},
            data_source_schemas={n: wire.Schema(block=block(d)) for n, d in data.items()},
        )

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        return self._schema

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        return wire.ConfigureProvider.Response()

    def StopProvider(self, request: Any, context: Any) -> Any:
        return wire.StopProvider.Response()


def block(arguments: dict[str, Any], depth: int = 0) -> Any:
    """Return arguments in Terraform's own terms.

    The assembly does not tell lists from sets, nor what is computed when left out: every optional
    argument of a resource counts as computed.
    """
    out = wire.Schema.Block()
    for name, entry in sorted(arguments.items()):
        if "b" in entry:
            nested = out.block_types.add(type_name=name)
            nested.nesting = SINGLE if name == "timeouts" else LIST
            nested.max_items = 1 if entry["k"] == "block" and name != "timeouts" else 0
            nested.min_items = int(bool(entry.get("r")))
            nested.block.CopyFrom(block(entry["b"], depth + 1))
        else:
            required, computed = bool(entry.get("r")), bool(entry.get("c"))
            out.attributes.add(
                name=name,
                type=json.dumps(entry["k"]).encode(),
                required=required,
                optional=not required and not computed,
                computed=computed or (not required and depth == 0),
            )
    return out


def serve(provider: StandIn, socket: Path) -> grpc.Server:
    """Start a provider on a socket."""
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)]
    )
    services.add_ProviderServicer_to_server(provider, server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    return server


def check(folder: Path, environment: dict[str, str]) -> bool:
    """Validate a folder and run its tests; print what Terraform says of a failure."""
    verbs = [["init", "-backend=false", "-input=false"], ["validate"]]
    verbs += [["test"]] if list(folder.glob("tests/*.tftest.hcl")) else []
    for verb in verbs:
        done = subprocess.run(
            ["terraform", *verb, "-no-color"],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.stdout.write(
                f"{folder.name}: terraform {verb[0]} failed\n{done.stdout}{done.stderr}" + "\n"
            )
            return False
    said = done.stdout.strip().splitlines()[-1]
    sys.stdout.write(f"{folder.name}: {said}" + "\n")
    return True


def main() -> int:
    """Check every folder in a copy; return the number of folders that fail."""
    schema = json.loads((HERE / "aws_schema.json").read_text())
    with TemporaryDirectory() as scratch:
        copy = Path(scratch) / "terraform"
        shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform*"))
        sockets = {name: Path(scratch) / f"{name}.sock" for name in ("aws", "random")}
        servers = [
            serve(StandIn(PROVIDER, schema["r"], schema["d"]), sockets["aws"]),
            serve(StandIn({}, RANDOM, {}), sockets["random"]),
        ]
        attached = {
            f"{REGISTRY}/{name}": {
                "Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True,
                "Addr": {"Network": "unix", "String": str(path)},
            }
            for name, path in sockets.items()
        }  # fmt: skip
        (Path(scratch) / "terraformrc").touch()
        environment = {
            **os.environ,
            "TF_REATTACH_PROVIDERS": json.dumps(attached),
            "TF_CLI_CONFIG_FILE": str(Path(scratch) / "terraformrc"),
            "CHECKPOINT_DISABLE": "1",
        }
        folders = sorted({path.parent for path in copy.rglob("versions.tf")})
        failed = [folder for folder in folders if not check(folder, environment)]
        for server in servers:
            server.stop(None)
    sys.stdout.write(f"{len(folders)} folders, {len(failed)} failed" + "\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
