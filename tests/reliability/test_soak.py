"""The soak sees what grows. On the whole stack it runs for minutes in tests/e2e/test_stack.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from soak import Growth, Series, faults, growth, watch

LEAK = """
import sys, time
kept, mb, files = [], float(sys.argv[1]), int(sys.argv[2])
base = bytearray(40_000_000)
for i in range(10_000):
    kept.append(bytearray(int(mb * 1e6)))
    kept += [open("/dev/null") for _ in range(files)]
    time.sleep(0.1)
"""


def measured(megabytes: float, files: int) -> Growth:
    """The growth of a child of a process that takes so much more every tenth of a second."""
    inner = [sys.executable, "-c", LEAK, str(megabytes), str(files)]
    outer = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *inner]
    with subprocess.Popen(outer) as root, subprocess.Popen(["sleep", "4"]) as load:
        series = watch({"it": root.pid}, load, every=0.1)
        for child in descendants(root.pid):
            child.kill()
        root.kill()
    return growth(series["it"])


def descendants(pid: int) -> list:
    import psutil

    return psutil.Process(pid).children(recursive=True)


def test_a_process_that_holds_still_is_not_suspected():
    assert not measured(0, 0).leaks


def test_a_child_that_keeps_memory_is_found():
    found = measured(0.5, 0)
    assert found.leaks and found.percent_in_all > 2 and found.more_descriptors == 0


def test_a_child_that_keeps_files_open_is_found():
    found = measured(0, 1)
    assert found.leaks and found.more_descriptors > 2 and found.percent_in_all < 2


@pytest.mark.parametrize(("percent_an_hour", "leaks"), [(0.5, False), (1.5, True), (3.0, True)])
def test_two_hours_tell_one_percent_an_hour_from_noise(percent_an_hour, leaks):
    hours = np.linspace(0, 2, 120)
    noise = np.random.default_rng(7).normal(0, 1.0, len(hours))
    rss = 200 * (1 + percent_an_hour / 100 * hours) + noise
    series = Series(list(hours), list(rss), [30] * len(hours))
    assert growth(series).percent_an_hour == pytest.approx(percent_an_hour, abs=0.35)
    assert growth(series).leaks == leaks


def test_what_is_at_fault_is_named():
    still = Growth(100.0, 0.0, 0.0, 30, 0.0)
    result = {
        "restarted": [],
        "load": {"failed": 0, "requests": 9},
        "growth": dict.fromkeys(("supervisor", "nginx", "blue", "green", "mlflow"), still),
    }
    assert faults(result) == []
    result["growth"] |= {"blue": Growth(100.0, 9.0, 18.0, 90, 60.0)}
    result["load"]["failed"] = 2
    result["restarted"] = ["mlflow"]
    assert faults(result) == [
        "mlflow was restarted",
        "2 of 9 requests failed",
        "blue grew by 9.0% an hour (18.0% in all) and 60 file descriptors",
    ]
