"""Runs steps: read what was known, call, check, write. The same wherever a step runs."""

from riskcast.runner.manifest import write_failure, write_manifest
from riskcast.runner.ports import Ports
from riskcast.runner.run import StepReport, run_pipeline, run_step

__all__ = ["Ports", "StepReport", "run_pipeline", "run_step", "write_failure", "write_manifest"]
