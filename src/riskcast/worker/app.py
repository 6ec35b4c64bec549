"""HTTP over `Runs`: a closed set of steps with their windows, and nothing else, is run.

Whoever may ask can run a step that is declared, for a window, and see its log. They cannot name a
program, an option, a file or a variable of the environment.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, status
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from riskcast.core.errors import DeclarationError, RunnerBusy
from riskcast.pipelines import PIPELINES, command, pipeline
from riskcast.worker.runs import Run, Runs, read_log, run_id

WATCH_SECONDS = 1.0
Short = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[\w.:@+~/-]+$")]
Value = Annotated[str, StringConstraints(max_length=250, pattern=r"^[\w.:@+/-]*$")]


class Asked(BaseModel):
    """A step of a run: what, over which window, told what, and which attempt this is."""

    model_config = ConfigDict(extra="forbid")

    pipeline: Short
    step: Short
    run_id: Short
    attempt: Short
    start: datetime
    end: datetime
    member: str = ""
    backfill: bool = False
    params: dict[Short, Value] = Field(default_factory=dict, max_length=20)

    @model_validator(mode="after")
    def _declared(self) -> Asked:
        if self.pipeline not in PIPELINES:
            raise ValueError(f"there is no pipeline {self.pipeline!r}")
        asked = pipeline(self.pipeline)
        try:
            step = asked.step(self.step)
        except DeclarationError as error:
            raise ValueError(str(error)) from error
        if self.member and self.member not in step.over:
            raise ValueError(f"{self.pipeline}.{self.step} has no member {self.member!r}")
        if unknown := sorted(set(self.params) - set(asked.params)):
            raise ValueError(f"{self.pipeline} takes no {', '.join(unknown)}")
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise ValueError("the window needs instants with a time zone, start before end")
        return self

    def command(self) -> tuple[str, ...]:
        """Return the one command line of the step; values never begin an option of their own."""
        window = self.start.isoformat(), self.end.isoformat()
        return (
            *command(self.pipeline, self.step, *window, self.member),
            f"--run-id={self.run_id}",
            "--backfill" if self.backfill else "--no-backfill",
            *(f"--set={name}={value}" for name, value in self.params.items()),
        )


bearer = HTTPBearer()
router = APIRouter()


def runs_of(
    request: Request, given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> Runs:
    """Return the runs to who shows the token; 401 to anybody else."""
    if not secrets.compare_digest(given.credentials.encode(), request.app.state.token.encode()):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "the token is not that of this runner")
    runs: Runs = request.app.state.runs
    return runs


Door = Annotated[Runs, Depends(runs_of)]


def create_app(folder: Path, token: str, most: int) -> FastAPI:
    """Return the app; it runs `most` steps at a time and ends them when it ends."""

    @asynccontextmanager
    async def tended(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(_watch(app.state.runs))
        try:
            yield
        finally:
            watching.cancel()
            await run_in_threadpool(app.state.runs.close)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=tended)
    app.state.runs, app.state.token = Runs(folder, most), token
    app.include_router(router)
    return app


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the runner is alive."""
    return {"status": "healthy"}


@router.post("/runs", status_code=status.HTTP_202_ACCEPTED)
def begin(asked: Asked, runs: Door) -> dict[str, Any]:
    """Begin a step, or find it where it runs already."""
    name = run_id(asked.pipeline, asked.step, asked.run_id, asked.member)
    try:
        return _shown(runs.begin(name, asked.attempt, asked.command()))
    except RunnerBusy as error:
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, str(error)) from error


@router.get("/runs/{name}")
def look(
    name: str, runs: Door, offset: Annotated[int, Query(ge=0, le=10**12)] = 0
) -> dict[str, Any]:
    """Return how a step fares and what it has logged from a byte on."""
    run = _found(runs, name)
    shown = _shown(run)  # before the log is read, so that the log of an ended step is whole
    log, after = read_log(run, offset)
    return {**shown, "log": log, "offset": after}


@router.delete("/runs/{name}")
def end(name: str, runs: Door) -> dict[str, Any]:
    """End a step."""
    run = _found(runs, name)
    runs.end(run)
    return _shown(run)


def _found(runs: Runs, name: str) -> Run:
    run = runs.find(name)
    if run is None:
        raise HTTPException(
            status.HTTP_404_NOT_FOUND, f"there is no run {name}; the runner may have been restarted"
        )
    return run


def _shown(run: Run) -> dict[str, Any]:
    return {"id": run.id, "attempt": run.attempt, "state": run.state,
            "exit_code": run.process.returncode}  # fmt: skip


async def _watch(runs: Runs) -> None:
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        await run_in_threadpool(runs.watch)
