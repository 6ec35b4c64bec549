"""The part of a compose project's backup that needs its volumes: in a container that has them all.

``python -m riskcast.standalone.keeper pin|files|put`` is run by `compose_backup`, once a step:

- ``pin``: answers not yet in the lake come out, and last which versions of the tables were chosen;
- ``files PINS``: the tables up to those versions, models, pages and mails, and last what each
  table's content is;
- ``put``: a backup without databases and keys goes in; the online store is filled from it.

What comes out is a tar on standard output whose last member, JSON, tells that it is whole.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO

from riskcast.core import redaction
from riskcast.core.errors import BackupRefused, RiskcastError
from riskcast.core.settings import Settings, read_settings
from riskcast.lake import snapshot
from riskcast.standalone.archive import Writer, read
from riskcast.standalone.backup import add_answers, add_files
from riskcast.standalone.layout import Layout
from riskcast.standalone.restore import Places, fill_online, holds, remake


def pin(settings: Settings, out: IO[bytes]) -> None:
    """Write answers, then ``{made_at, pins}``."""
    writer = Writer(out)
    made_at, pins = add_answers(writer, settings)
    writer.close(json.dumps({"made_at": made_at.isoformat(), "pins": pins}).encode())


def files(settings: Settings, pins: dict[str, int], out: IO[bytes]) -> None:
    """Write files, then ``{table: content}``."""
    writer = Writer(out)
    contents = add_files(writer, settings, pins)
    said = {name: asdict(content) for name, content in contents.items()}
    writer.close(json.dumps(said).encode())


def put(settings: Settings, source: IO[bytes]) -> None:
    """Fill the volumes and the online store.

    Raises
    ------
    BackupRefused
        If the lake is not empty, or not all arrived.
    BackupError
        If a table is not what it was.
    """
    if holds(snapshot.place(settings)):
        raise BackupRefused(
            f"the lake {settings.lake_root} is not empty; empty it, or name another"
        )
    places = Places(settings, Layout.of(settings), dumps=Path(os.devnull))  # none is sent
    manifest, _ = read(source, places)
    remake(settings, manifest)
    fill_online(settings, manifest)


def main(arguments: list[str]) -> None:
    """Do one of the steps."""
    # What a library prints must not get into the tar.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings = read_settings()
    with out:
        match arguments:
            case ["pin"]:
                pin(settings, out)
            case ["files", pins]:
                files(settings, json.loads(pins), out)
            case ["put"]:
                put(settings, sys.stdin.buffer)
            case _:
                raise SystemExit(f"expected pin, files PINS or put, not {arguments}")


if __name__ == "__main__":
    redaction.install()
    try:
        main(sys.argv[1:])
    except RiskcastError as error:
        sys.exit(redaction.redact(f"{error.code}: {error}"))
