"""Forks one ``riskcast`` command for each line on stdin, after importing everything once.

A command takes seconds to import and a fraction of one to run; forked, a blow at a random moment
falls into the run. The parent starts no thread of Polars, Delta Lake or OpenMP: a child that
inherited one would wait for it for ever.

A line is JSON: a home, the command's words, the size in bytes that no file can exceed, or null,
and what of its disk is broken, or null.
The answer is a line with the child's number and then one of JSON: its exit code, negative where a
signal ended it, and what it said.
"""

import json
import os
import resource
import sys
import traceback

import deltalake  # noqa: F401
import exchange_calendars  # noqa: F401
import feast  # noqa: F401
import great_expectations  # noqa: F401
import mlflow  # noqa: F401
import sklearn.mixture  # noqa: F401
from io_error import break_disk

import riskcast.online.views
import riskcast.registry
import riskcast.runner
import riskcast.sources  # noqa: F401
from riskcast.cli import main


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def child(home: str, words: list[str], limit: int | None, broken: str | None, out: int) -> None:
    os.environ["RISKCAST_HOME"] = home
    os.dup2(out, 1)
    os.dup2(out, 2)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if broken is not None:
        break_disk(broken)
    sys.argv = ["riskcast", *words]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)


say("ready")
for line in sys.stdin:
    order = json.loads(line)
    said, out = os.pipe()  # what is said needs no room on the disk
    pid = os.fork()
    if not pid:
        child(order["home"], order["words"], order["limit"], order["broken"], out)
    os.close(out)
    say(pid)
    with os.fdopen(said, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    say(json.dumps({"code": os.waitstatus_to_exitcode(status), "said": text}))
