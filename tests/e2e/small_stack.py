"""The stack without what runs DAGs and rollouts: enough to open every page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.standalone.ports import port_settings

from riskcast.core.settings import Settings
from riskcast.standalone import down, up
from riskcast.standalone.configure import configure
from riskcast.standalone.layout import Layout
from riskcast.standalone.processes import declare

LEFT_OUT = {
    "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-pool",
    "rollout-watch", "green",
}  # fmt: skip


@contextmanager
def small_stack(home: Path) -> Iterator[Settings]:
    """Run it on free ports below `home`."""
    settings = Settings(home=str(home), **port_settings())
    layout = Layout.of(settings)
    layout.make()
    configure(settings, layout, lambda _what: None)
    processes = [
        replace(each, needs=tuple(name for name in each.needs if name not in LEFT_OUT))
        for each in declare(settings, layout)
        if each.name not in LEFT_OUT
    ]
    try:
        up(settings, processes=processes)
        yield settings
    finally:
        down(settings)
