"""From gold to a champion: evaluate walk-forward, judge, register, promote."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from riskcast.core.errors import GateRefused
from riskcast.core.settings import Settings
from riskcast.core.window import Window
from riskcast.evaluation.design import build_design, effective, needed_columns
from riskcast.evaluation.final import fit_served
from riskcast.evaluation.gate import Verdict, check_refit, decide
from riskcast.evaluation.losses import qlike
from riskcast.evaluation.walk_forward import SEED, log_ratios, walk_forward
from riskcast.jobs.lineage import environment_digest, git_sha, table_versions
from riskcast.jobs.promote import NOTHING, move_champion
from riskcast.lake import Lake
from riskcast.models.base import Design
from riskcast.models.served import ServedModel
from riskcast.products import Product
from riskcast.registry import CHAMPION, LoadedModel, Registry
