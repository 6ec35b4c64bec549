"""Look for secrets in every version of every file of the history, not only in the newest.

    uv run --no-project --with detect-secrets==1.5.0 .ci/history.py [--list]

What was found and is none stands in .ci/secrets.allowed, one SHA-1 of the value a line with the
reason why. `--list` prints what is found in that form. Exit code 1 for anything else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.settings import default_settings

ALLOWED = Path(__file__).with_name("secrets.allowed")
# Hashes of packages, and of what the working tree itself can make again.
DIGESTS = re.compile(r"--hash=sha256:|\bsha256:[0-9a-f]{64}\b|^\s*\"(version_)?hash\":")
LONGEST_LINE = 2000  # longer ones are data


def main() -> int:
    """Print what is found and not allowed."""
    allowed = {line.split()[0] for line in ALLOWED.read_text().splitlines() if line[:1].isalnum()}
    found: dict[str, tuple[str, str]] = {}
    lines = 0
    with default_settings():
        plugins = [kind() for kind in get_mapping_from_secret_type_to_class().values()]
        for name, line in _lines():
            lines += 1
            for plugin in plugins:
                for secret in plugin.analyze_line(filename=name, line=line, line_number=1):
                    found.setdefault(secret.secret_hash, (secret.type, name))
    if "--list" in sys.argv:
        for digest, (kind, name) in sorted(found.items(), key=lambda each: each[1]):
            print(digest, name, kind)
        return 0
    new = {digest: where for digest, where in found.items() if digest not in allowed}
    for digest, (kind, name) in new.items():
        print(f"{name}: {kind} (SHA-1 {digest})")
    print(f"{lines} different lines; {len(found) - len(new)} findings allowed, {len(new)} not")
    return 1 if new else 0


def _lines() -> Iterator[tuple[str, str]]:
    """Yield each different line of every text file of every commit once, with the file's name."""
    seen: set[bytes] = set()
    for name, content in _files():
        for raw in content.splitlines():
            line = raw.strip()
            if not line or len(line) > LONGEST_LINE or line in seen:
                continue
            seen.add(line)
            text = line.decode("utf-8", "replace")
            if not DIGESTS.search(text):
                yield name, text


def _files() -> Iterator[tuple[str, bytes]]:
    asked = subprocess.run(
        ["git", "rev-list", "--objects", "--all"], capture_output=True, text=True, check=True
    )
    names = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        for sha, name in names.items():
            git.stdin.write(f"{sha}\n".encode())
            git.stdin.flush()
            _, kind, size = git.stdout.readline().split()
            content = git.stdout.read(int(size) + 1)[:-1]
            if kind == b"blob" and b"\0" not in content[:8192]:
                yield name, content
        git.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
