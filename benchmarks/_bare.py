"""The reference of the serving benchmark: the least a FastAPI server can do with a JSON body.

python benchmarks/_bare.py PORT
"""

from __future__ import annotations

import sys
from datetime import date

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    """The same fields as a request for a forecast."""

    as_of_date: date | None = None
    feature_vector: dict[str, float] = {}


class Answer(BaseModel):
    """As little as an answer can hold."""

    features: int


app = FastAPI()


@app.post("/predict")
async def predict(asked: Question) -> Answer:
    return Answer(features=len(asked.feature_vector))


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "alive"}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        log_level="warning",
    )
