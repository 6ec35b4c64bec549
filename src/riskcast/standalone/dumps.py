"""Databases to files and back, by PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from riskcast.core.errors import BackupError
from riskcast.standalone import postgres
from riskcast.standalone.layout import Layout

# Who may log in, and what is encrypted with a key of the home: worthless, or worse, without it.
SECRET = {
    "airflow": ("connection", "variable"),
    "mlflow": ("users", "roles", "secrets", "webhooks"),
    "riskcast": (),
}
# What refers to a row that is left out is left out with it.
_DEPENDENT = """
WITH RECURSIVE found(t) AS (
    SELECT oid FROM pg_class
    WHERE relname IN ({names}) AND relkind = 'r' AND relnamespace = 'public'::regnamespace
    UNION
    SELECT conrelid FROM pg_constraint JOIN found ON confrelid = t WHERE contype = 'f'
) SELECT relname FROM found JOIN pg_class ON oid = t ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database as its owner reaches it.

    Attributes
    ----------
    via : tuple of str
        What stands before the name of PostgreSQL's program on the command line.
    environment : mapping of str to str
        In which user, database and password are told: they stand in no command line.
    """

    name: str
    via: tuple[str, ...]
    environment: Mapping[str, str]

    def dump(self, to: Path, *, secrets: bool) -> None:
        """Write the database as it is at one instant, whatever is written meanwhile.

        Parameters
        ----------
        secrets : bool
            Whether logins, and what is encrypted with keys of the home, are among it.

        Raises
        ------
        BackupError
            If PostgreSQL does not answer or refuses.
        """
        left_out = [] if secrets else self._holding_secrets()
        options = [f"--exclude-table-data=public.{table}" for table in left_out]
        # Comments on extensions can be set by their owner alone, who is not us.
        plain = ("--format=custom", "--no-owner", "--no-privileges", "--no-comments")
        with to.open("wb") as file:
            self._run("pg_dump", *plain, *options, stdout=file)

    def load(self, dump: Path) -> None:
        """Fill the database, which must hold nothing yet, whole or not at all.

        Raises
        ------
        BackupError
            If PostgreSQL does not answer or refuses, for one because there is something in it.
        """
        whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        with dump.open("rb") as file:
            self._run("pg_restore", *whole, f"--dbname={self.name}", stdin=file)

    def _holding_secrets(self) -> list[str]:
        names = ", ".join(f"'{name}'" for name in SECRET[self.name])
        if not names:
            return []
        query = _DEPENDENT.format(names=names)
        given = ("--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", query)
        return self._run("psql", *given).decode().split()

    def _run(
        self,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.PIPE,
    ) -> bytes:
        ran = subprocess.run(
            [*self.via, program, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            env=self.environment,
        )
        if ran.returncode:
            said = " ".join(ran.stderr.decode(errors="replace").split())[:500]
            raise BackupError(f"{program} of the database {self.name} failed: {said}")
        return ran.stdout or b""


def databases(layout: Layout) -> tuple[Database, ...]:
    """Return the stack's databases."""
    return tuple(
        Database(
            name,
            (),
            {
                "PATH": f"{postgres.binaries()}:{os.defpath}",
                "LC_ALL": "C",
                "PGHOST": str(postgres.socket_folder(layout)),
                "PGUSER": name,
                "PGDATABASE": name,
                "PGPASSFILE": str(postgres.passfile(layout, name)),
                "PGCONNECT_TIMEOUT": "10",
            },
        )
        for name in postgres.DATABASES
    )
