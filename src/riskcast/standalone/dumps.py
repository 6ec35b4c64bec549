"""Databases to files and back, by PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

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
    host : str
        Folder of the server's unix socket, or a host name.
    passfile : Path
        In libpq's format: passwords stand in no command line.
    """

    name: str
    host: str
    passfile: Path

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
        self._run("pg_dump", *plain, *options, f"--file={to}")

    def load(self, dump: Path) -> None:
        """Fill the database, which must hold nothing yet, whole or not at all.

        Raises
        ------
        BackupError
            If PostgreSQL does not answer or refuses, for one because there is something in it.
        """
        whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        self._run("pg_restore", *whole, f"--dbname={self.name}", str(dump))

    def _holding_secrets(self) -> list[str]:
        names = ", ".join(f"'{name}'" for name in SECRET[self.name])
        if not names:
            return []
        query = _DEPENDENT.format(names=names)
        return self._run("psql", "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", query).split()

    def _run(self, program: str, *arguments: str) -> str:
        ran = subprocess.run(
            [str(postgres.binaries() / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.defpath,
                "LC_ALL": "C",
                "PGHOST": self.host,
                "PGUSER": self.name,
                "PGDATABASE": self.name,
                "PGPASSFILE": str(self.passfile),
                "PGCONNECT_TIMEOUT": "10",
            },
        )
        if ran.returncode:
            said = " ".join(ran.stderr.split())[:500]
            raise BackupError(f"{program} of the database {self.name} failed: {said}")
        return ran.stdout


def databases(layout: Layout) -> tuple[Database, ...]:
    """Return the stack's databases."""
    host = str(postgres.socket_folder(layout))
    return tuple(
        Database(name, host, postgres.passfile(layout, name)) for name in postgres.DATABASES
    )
