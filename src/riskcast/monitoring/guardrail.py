"""Is the champion grossly worse than what it replaced? A sequential test on realised losses.

An edge of a few percent takes years to disprove; this looks for a loss that has doubled. Each
session counts by how much the champion lost more than the worse of its references, as a log ratio,
less an allowance; the sum never falls below zero: the CUSUM of Page (1954, Biometrika 41). Against
the worse of the previous champion and the benchmark a crash that nobody foresaw does not count.
The bound comes from the walk-forward record by block bootstrap, because losses of overlapping
outcomes cluster.

On SPY 1993 to 2022 (benchmarks/drift.py) a mean loss that doubles is found within 20 sessions 97%
of the time at 0.25% false rollbacks a year. Where each single loss doubles, 28%: quiet sessions
lose next to nothing before and after, so few sessions of a month tell. The figures of `realised`
catch such a champion later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskcast.core.errors import NotEnoughHistory
from riskcast.models.base import Floats

SOFTEN = 0.25  # of the mean loss, added to both: the ratio of two tiny losses says nothing
CLIP = np.log(4.0)  # one session must not decide alone
ALLOWANCE = 0.1
FALSE_A_YEAR = 0.01
YEAR = 252  # sessions
BLOCK = 63  # sessions; volatility forgets within a quarter
DRAWS = 2000
MIN_ROWS = 504  # scored sessions to calibrate on


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A calibrated test.

    Attributes
    ----------
    unit : float
        Mean loss of the champion on record.
    bound : float
        Sum beyond which the champion is grossly worse.
    """

    unit: float
    bound: float = np.inf

    def path(self, champion: Floats, *references: Floats) -> Floats:
        """Return the sum after each session since the champion was deployed.

        Parameters
        ----------
        champion, references : ndarray, shape (..., n)
            Losses on the same sessions, in order of time along the last axis.
        """
        soft = SOFTEN * self.unit
        worse = np.max(references, axis=0)
        excess = np.clip(np.log((champion + soft) / (worse + soft)), -CLIP, CLIP) - ALLOWANCE
        # max(0, s + e) step by step is the running sum less its running minimum, from 0.
        total = np.cumsum(excess, axis=-1)
        out: Floats = total - np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)
        return out


def calibrate(
    champion: Floats, previous: tuple[Floats, ...], benchmark: Floats, *, seed: int
) -> Guardrail:
    """Return the test whose yearly chance of a false alarm is at most FALSE_A_YEAR on record.

    Parameters
    ----------
    champion, benchmark : ndarray, shape (n,)
        Losses on the same sessions, in order of time, known before the test begins.
    previous : tuple of ndarray, shape (n,)
        Models like those that may have served before; the bound holds for the worst of them.

    Raises
    ------
    NotEnoughHistory
        If there are fewer than MIN_ROWS.
    """
    if len(champion) < MIN_ROWS:
        raise NotEnoughHistory(f"{len(champion)} scored sessions; a guardrail needs {MIN_ROWS}")
    free = Guardrail(float(champion.mean()))
    rows = block_rows(len(champion), YEAR, DRAWS, np.random.default_rng(seed))
    worst = [
        free.path(champion[rows], other[rows], benchmark[rows]).max(axis=1) for other in previous
    ]
    return Guardrail(free.unit, float(np.quantile(worst, 1 - FALSE_A_YEAR, axis=1).max()))


def block_rows(
    n: int, length: int, draws: int, rng: np.random.Generator, block: int = BLOCK
) -> NDArray[np.int64]:
    """Return rows of a circular block bootstrap, (draws, length) (Politis and Romano 1992)."""
    starts = rng.integers(n, size=(draws, -(-length // block)))
    rows = (starts[:, :, None] + np.arange(block)) % n
    return rows.reshape(draws, -1)[:, :length]
