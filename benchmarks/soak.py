"""Memory and file descriptors of a running stack under hours of requests.

    riskcast quickstart && python benchmarks/soak.py --minutes 120

A fixed rate of forecasts is asked for through nginx, without retries, while every process of the
stack and the supervisor itself are measured with all their children. What must stay flat are the
processes that live as long as the stack does and take the load: RSS may grow by 1% an hour (Theil
and Sen's slope), file descriptors not at all, and no request may fail. A run of minutes cannot
tell 1% an hour from an allocator that settles, so growth below 2% in all is never held against a
process. With --json the last line of standard output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from scipy.stats import theilslopes

from riskcast.core.settings import Settings, read_settings
from riskcast.standalone import status

HERE = Path(__file__).parent
WATCHED = ("supervisor", "nginx", "blue", "green")
PERCENT_AN_HOUR = 1.0
PERCENT_IN_ALL = 2.0
DESCRIPTORS = 2  # a connection that happens to be open
WARM_UP = 0.25  # of the run: caches fill, connections open, allocators settle
SAMPLES = 120


@dataclass
class Series:
    """What a process and its children held: hours since the start, MB, file descriptors."""

    hours: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def settled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the three after the warm-up."""
        hours = np.array(self.hours)
        keep = hours >= hours[0] + WARM_UP * (hours[-1] - hours[0])
        return hours[keep], np.array(self.rss)[keep], np.array(self.descriptors)[keep]


@dataclass(frozen=True)
class Growth:
    """How a process grew after the warm-up."""

    rss_mb: float
    percent_an_hour: float
    percent_in_all: float
    descriptors: int
    more_descriptors: float

    @property
    def leaks(self) -> bool:
        memory = self.percent_an_hour > PERCENT_AN_HOUR and self.percent_in_all > PERCENT_IN_ALL
        return memory or self.more_descriptors > DESCRIPTORS


def growth(series: Series) -> Growth:
    """Return the slope of RSS by Theil and Sen, and what came to the descriptors."""
    hours, rss, descriptors = series.settled()
    slope = theilslopes(rss, hours).slope / np.median(rss) * 100
    third = max(len(hours) // 3, 1)
    more = float(np.median(descriptors[-third:]) - np.median(descriptors[:third]))
    return Growth(
        round(float(np.median(rss)), 1),
        round(float(slope), 3),
        round(float(slope * (hours[-1] - hours[0])), 3),
        int(descriptors[-1]),
        more,
    )


def held(pid: int, *, alone: bool = False) -> tuple[float, int]:
    """Return RSS in MB and file descriptors of a process, with all its children unless alone."""
    root = psutil.Process(pid)
    megabytes, descriptors = root.memory_info().rss / 1e6, root.num_fds()
    for process in () if alone else root.children(recursive=True):
        try:
            with process.oneshot():
                megabytes += process.memory_info().rss / 1e6
                descriptors += process.num_fds()
        except psutil.NoSuchProcess:  # a child that has ended since
            continue
    return megabytes, descriptors


def processes(settings: Settings) -> dict[str, int]:
    """Return the pid of each process of the running stack, and of its supervisor."""
    said = status(settings)["processes"]
    found = {each["name"]: each["pid"] for each in said if not each["once"] and each["pid"]}
    return {"supervisor": psutil.Process(found["nginx"]).ppid(), **found}


def soak(settings: Settings, minutes: float, *, rate: float = 20.0) -> dict:
    """Ask for forecasts for so many minutes; return the growth of each process and the load's.

    Only the supervisor's own memory is counted for it: its children are the other processes.
    """
    key = (settings.keys_path / "api.key").read_text().strip()
    clients = 4
    asked = (
        *(sys.executable, str(HERE / "_load.py"), "--port", settings.api_port, f"--key={key}"),
        *("--clients", str(clients), "--rate", str(rate / clients), "--seconds", str(minutes * 60)),
    )
    before = processes(settings)
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as load:
        series = watch(before, load, every=minutes * 60 / SAMPLES)
        said = json.loads(load.stdout.read().splitlines()[-1])
    return {
        "minutes": minutes,
        "load": {name: said[name] for name in ("requests", "failed", "p50_ms", "p99_ms")},
        "restarted": sorted(n for n, pid in processes(settings).items() if before.get(n) != pid),
        "growth": {name: growth(each) for name, each in series.items()},
    }


def watch(pids: Mapping[str, int], load: subprocess.Popen, *, every: float) -> dict[str, Series]:
    """Measure processes every so many seconds until the load has ended."""
    began, series = time.monotonic(), {name: Series() for name in pids}
    while load.poll() is None:
        sample(series, pids, (time.monotonic() - began) / 3600)
        time.sleep(every)
    return series


def sample(series: Mapping[str, Series], pids: Mapping[str, int], hours: float) -> None:
    """Add to each series what its process holds now; one that is gone has been restarted."""
    for name, pid in pids.items():
        try:
            rss, descriptors = held(pid, alone=name == "supervisor")
        except psutil.NoSuchProcess:
            continue
        series[name].hours.append(hours)
        series[name].rss.append(rss)
        series[name].descriptors.append(descriptors)


def faults(result: dict) -> list[str]:
    """Return what did not stay as it should, in words."""
    found = [f"{name} was restarted" for name in result["restarted"]]
    if failed := result["load"]["failed"]:
        found.append(f"{failed} of {result['load']['requests']} requests failed")
    for name in WATCHED:
        each = result["growth"][name]
        if each.leaks:
            found.append(
                f"{name} grew by {each.percent_an_hour}% an hour ({each.percent_in_all}% in all) "
                f"and {each.more_descriptors:.0f} file descriptors"
            )
    return found


def show(result: dict, console: Console) -> None:
    table = Table("process", "RSS MB", "% an hour", "% in all", "descriptors", "more")
    for name, each in result["growth"].items():
        style = "bold" if name in WATCHED else "dim"
        figures = (each.rss_mb, each.percent_an_hour, each.percent_in_all, each.descriptors,
                   each.more_descriptors)  # fmt: skip
        table.add_row(name, *(f"{figure:g}" for figure in figures), style=style)
    console.print(table)
    console.print(f"{result['minutes']:g} minutes: {result['load']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    result = soak(read_settings(), options.minutes, rate=options.rate)
    show(result, Console(stderr=options.json, width=110))
    if options.json:
        print(json.dumps(result, default=vars))
    if found := faults(result):
        raise SystemExit("; ".join(found))


if __name__ == "__main__":
    main()
