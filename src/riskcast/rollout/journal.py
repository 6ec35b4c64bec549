"""Rollouts in the lake: where each stands, and the ledger of what served.

Rows are only ever added, keyed by product, number and step. The lake keeps the first row of a key,
by an atomic commit on a folder and on S3 alike; so of two processes that take the same step one
finds the other's row in place of its own and is told that it lost. No lock server, no lease that
must run out after its holder was killed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

import polars as pl

from riskcast.core.clock import wall
from riskcast.core.errors import RolloutUnderWay
from riskcast.core.window import Window
from riskcast.lake import Lake
from riskcast.rollout.state import Phase, Rollout, champions
from riskcast.tables import Table
from riskcast.tables.output import DEPLOYMENTS, ROLLOUTS

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
PIN, UNPIN, REFUSE = "pin", "unpin", "refuse"
# After these, the row's version serves.
SERVED_SINCE = ("promote", "rollback", "move", "flip", "abort")
INSTANT = pl.Datetime("us", "UTC")


class Journal:
    """What the lake knows of a product's rollouts."""

    def __init__(self, lake: Lake, product: str) -> None:
        self._lake, self.product = lake, product

    def rollouts(self) -> tuple[Rollout, ...]:
        """Return the last state of each rollout, oldest first."""
        rows = self._lake.read(ROLLOUTS).filter(pl.col("product") == self.product)
        last = rows.sort("number", "step").unique("number", keep="last", maintain_order=True)
        return tuple(_rollout(row) for row in last.iter_rows(named=True))

    def under_way(self) -> Rollout | None:
        """Return the rollout that is not settled, None if there is none."""
        found = self.rollouts()
        return found[-1] if found and not found[-1].settled else None

    def champions(self) -> tuple[str, ...]:
        """Return the champions in force, oldest first; the last one serves."""
        return champions(self.rollouts())

    def write(self, rollout: Rollout) -> None:
        """Add the state.

        Raises
        ------
        RolloutUnderWay
            If another process has taken this step, or begun this rollout, meanwhile.
        """
        writer = uuid4().hex
        self._append(ROLLOUTS, {**_row(rollout), "writer": writer, "known_at": wall()})
        rows = self._lake.read(ROLLOUTS)
        mine = rows.filter(
            (pl.col("product") == rollout.product)
            & (pl.col("number") == rollout.number)
            & (pl.col("step") == rollout.step)
        )
        kept = mine.row(0, named=True)
        if kept["writer"] != writer:
            raise RolloutUnderWay(
                f"{rollout.product}: another process moved rollout {rollout.number} (version "
                f"{kept['model_version']}) to {kept['phase']}; `riskcast rollout status`"
            )

    def note(
        self, action: str, version: str, previous: str | None, *, who: str, why: str, event: str
    ) -> None:
        """Add a row to the ledger; the same event is written once, however often it is told."""
        at = wall()
        said = f"{self.product}|{event}|{action}"
        self._append(
            DEPLOYMENTS,
            {
                "event_id": hashlib.sha256(said.encode()).hexdigest()[:16],
                "at": at,
                "product": self.product,
                "action": action,
                "model_version": version,
                "previous": previous,
                "who": who,
                "why": why,
                "known_at": at,
            },
        )

    def ledger(self) -> pl.DataFrame:
        """Return the product's rows of `deployments`, oldest first."""
        return self._lake.read(DEPLOYMENTS).filter(pl.col("product") == self.product).sort("at")

    def served(self, at: datetime) -> dict[str, object] | None:
        """Return the ledger's row that says what served at an instant, None if nothing did."""
        rows = self.ledger().filter((pl.col("at") <= at) & pl.col("action").is_in(SERVED_SINCE))
        return rows.row(-1, named=True) if rows.height else None

    def pinned(self) -> str | None:
        """Return the version that automatic promotions may not replace, None if there is none."""
        rows = self.ledger().filter(pl.col("action").is_in((PIN, UNPIN)))
        if rows.is_empty():
            return None
        last = rows.row(-1, named=True)
        return str(last["model_version"]) if last["action"] == PIN else None

    def _append(self, table: Table, row: dict[str, object]) -> None:
        at = row["known_at"]
        assert isinstance(at, datetime)  # noqa: S101  both callers put it there
        kinds: dict[str, pl.DataType] = {
            name: INSTANT for name in ("at", "asked_at", "known_at") if name in row
        }
        frame = pl.DataFrame(
            [{**row, "source": "rollout"}], schema_overrides={**kinds, "previous": pl.String()}
        )
        self._lake.write(table, frame, Window(BEGINNING, at))


def last_of(rollouts: Iterable[Rollout]) -> int:
    """Return the number of the newest rollout, 0 if there is none."""
    return max((rollout.number for rollout in rollouts), default=0)


def _row(rollout: Rollout) -> dict[str, object]:
    return {
        "product": rollout.product,
        "number": rollout.number,
        "step": rollout.step,
        "action": rollout.action,
        "model_version": rollout.version,
        "previous": rollout.before,
        "slot": rollout.slot,
        "phase": str(rollout.phase),
        "share": rollout.share,
        "asked_at": rollout.asked_at,
        "at": rollout.since,
        "who": rollout.who,
        "why": rollout.why,
        "reason": rollout.reason,
        "settled": rollout.settled,
    }


def _rollout(row: dict[str, object]) -> Rollout:
    return Rollout(
        product=str(row["product"]),
        number=int(str(row["number"])),
        version=str(row["model_version"]),
        before=None if row["previous"] is None else str(row["previous"]),
        slot=str(row["slot"]),
        asked_at=row["asked_at"],  # type: ignore[arg-type]
        since=row["at"],  # type: ignore[arg-type]
        who=str(row["who"]),
        why=str(row["why"]),
        action=str(row["action"]),
        phase=Phase(str(row["phase"])),
        share=int(str(row["share"])),
        step=int(str(row["step"])),
        reason=str(row["reason"]),
        settled=bool(row["settled"]),
    )
