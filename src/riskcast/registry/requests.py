"""How MLflow's client asks: without what it does not need, and page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def load_headers() -> None:
    """Load what adds headers to MLflow's requests, without Feast's part in it.

    Feast registers itself there to log in to its own servers. MLflow would import all of Feast at
    its first request, four seconds of processor time in each step, server and watcher.
    """
    from mlflow.utils import plugins

    every = plugins.get_entry_points
    plugins.get_entry_points = lambda group: [
        point for point in every(group) if point.module.partition(".")[0] != "feast"
    ]
    try:
        import mlflow.tracking.request_header.registry  # noqa: F401
    finally:
        plugins.get_entry_points = every


def pages(search: Callable[..., Any], asked: Any) -> Iterator[Any]:
    """Give every row of a search, page by page."""
    page = search(asked)
    yield from page
    while page.token:
        page = search(asked, page_token=page.token)
        yield from page
