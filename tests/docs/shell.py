"""The shell blocks of the documentation: where they are, and the commands they hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
FIRST = (
    "README.md",
    "docs/tutorials/first-forecast.md",
    "docs/tutorials/deploy-and-roll-back.md",
    "docs/tutorials/your-own-data.md",
)
LAST = ("docs/runbook.md",)  # it ends by starting over
ELSEWHERE = "Elsewhere:"  # how the title of a block begins that cannot run on a bare machine
SHELLS = ("sh", "bash", "shell", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of commands.

    Attributes
    ----------
    line : int
        Of its first command, from 1.
    elsewhere : str
        What it needs that a bare machine does not have; empty if it runs anywhere.
    """

    page: str
    line: int
    code: str
    elsewhere: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> tuple[str, ...]:
    """Return every page for users, in the order a reader would do what they say."""
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    rest = sorted(found - {*FIRST, *LAST})
    return (*FIRST, *rest, *LAST)


def blocks(page: str, root: Path = ROOT) -> tuple[Block, ...]:
    """Return a page's shell blocks in order.

    Raises
    ------
    ValueError
        If a block of the shell is not marked `sh`, so that no test would see it.
    """
    found = []
    for token in MarkdownIt().parse((root / page).read_text()):
        if token.type not in ("fence", "code_block"):
            continue
        language, _, options = token.info.strip().partition(" ")
        line = (token.map or [0])[0] + 2
        if token.type == "code_block" or language in SHELLS[1:]:
            raise ValueError(f"{page}:{line}: fence commands as ```sh, anything else as ```text")
        if language == "sh":
            title = re.search(rf'title="{ELSEWHERE} ([^"]+)"', options)
            found.append(Block(page, line, token.content, title[1] if title else ""))
    return tuple(found)


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, those inside ``$(...)`` too.

    Assignments before a command are left out, and so are bodies of here-documents.
    """
    code = re.sub(r"<<-?\s*'?(\w+)'?(.*?)\n.*?^\1$", r"\2", code, flags=re.DOTALL | re.MULTILINE)
    waiting = ""
    for line in code.replace("\\\n", " ").splitlines():
        waiting += line + "\n"
        try:
            words = _words(waiting)
        except ValueError:  # a quotation goes on in the next line
            continue
        for inner in re.findall(r"\$\(([^()]*)\)", waiting):
            yield from commands(inner)
        waiting = ""
        yield from _simple(words)
    if waiting:
        raise ValueError(f"a quotation is never closed: {waiting!r}")


def _words(line: str) -> list[str]:
    line = re.sub(r"\d?>&\d", "", re.sub(r"\$\([^()]*\)", "_", line))
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _simple(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if set(word) <= set("();&|"):
            if command:
                yield command
            command = []
        elif set(word) <= set("<>&"):
            skip = True  # the next word is a file
        elif skip:
            skip = False
        elif command or not re.match(r"\w+=", word):
            command.append(word)
