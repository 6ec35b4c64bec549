"""Every command of the documentation, run as a reader would run it: one stack, page after page.

A page is one shell, so that what it exports stays. The working folder is a copy of the checkout,
whose `.riskcast` is thrown away at the end; ports are free ones instead of the defaults.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.docs.shell import ROOT, blocks, pages
from tests.standalone.ports import PORT_SETTINGS, free_ports

from riskcast.core.settings import PREFIX, Settings

pytestmark = [pytest.mark.slow, pytest.mark.stack]
WALKED = [page for page in pages() if any(not block.elsewhere for block in blocks(page))]
PATIENCE = 1800  # seconds a page may take
DEFAULTS = {field.name: field.default for field in fields(Settings)}


class Reader:
    """Somebody with a checkout, a shell and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.checkout, home = folder / "riskcast", folder / "home"
        home.mkdir()
        # Its history, and the files as they are now.
        subprocess.run(["git", "clone", "-qsn", str(ROOT), str(self.checkout)], check=True)
        for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n"):
            if name and (ROOT / name).is_file():
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.checkout / name)
        environment = self.checkout / ".venv"
        environment.mkdir()
        for part in Path(sys.prefix).iterdir():  # whole, so that its python knows its packages
            if part.name != ".ready":
                (environment / part.name).symlink_to(part)
        (environment / ".ready").touch()  # newer than what it is made from
        names = (*PORT_SETTINGS, "tls_port")
        self.ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
        kept = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "PYTEST"))}
        self.environment = kept | {
            "HOME": str(home),
            "PATH": f"{self.checkout}/.venv/bin:{kept['PATH']}",
            **{PREFIX + name.upper(): port for name, port in self.ports.items()},
        }

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def on_my_ports(self, code: str) -> str:
        """Return the commands with the ports of this reader for the default ones."""
        for name, port in self.ports.items():
            code = re.sub(rf"(127\.0\.0\.1|localhost):{DEFAULTS[name]}\b", rf"\1:{port}", code)
        return code


@pytest.fixture(scope="module")
def reader():
    # Not below pytest's own folder: each start of pytest closes that to PostgreSQL's account.
    with TemporaryDirectory(prefix="riskcast-") as folder:
        Path(folder).chmod(0o755)
        found = Reader(Path(folder))
        try:
            yield found
        finally:
            found.run(".venv/bin/riskcast down")


@pytest.mark.parametrize("page", WALKED)
def test_the_commands_of_a_page_do_what_it_says(reader, page):
    script = "".join(
        f"echo '## {block}'\n{block.code}\n" for block in blocks(page) if not block.elsewhere
    )
    done = reader.run(reader.on_my_ports(script))
    print(done.stdout)  # noqa: T201  shown where it fails
    assert done.returncode == 0, done.stdout[-4000:]
