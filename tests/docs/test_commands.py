"""Every command in the documentation exists: programs, options, targets, files, pipelines."""

import re
import shutil
import subprocess

import pytest
import typer
from tests.docs.shell import ROOT, Block, blocks, commands, pages

from riskcast.cli import app
from riskcast.core.errors import RiskcastError
from riskcast.pipelines import PIPELINES, pipeline

BLOCKS = [block for page in pages() for block in blocks(page)]
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MADE = {"build", "dist"}  # folders that commands write


def wrong(block: Block) -> list[str]:
    """Return what is wrong with a block's commands."""
    said = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    if said.returncode:
        return [said.stderr]
    return [fault for words in commands(block.code) for fault in faults(words, block.elsewhere)]


def faults(words, elsewhere):
    program, *rest = words
    name = program.removeprefix(".venv/bin/")
    if name == "riskcast":
        yield from riskcast_faults(rest)
    elif name == "make":
        targets = [word for word in rest if "=" not in word and word[0] != "-"]
        yield from (f"make has no target {each}" for each in targets if each not in TARGETS)
    elif not elsewhere and not known(name):
        yield f"{name} is no program that every machine has"
    for word in words:
        first, slash, _ = word.partition("/")
        if slash and first in FOLDERS - MADE and not any(ROOT.glob(word.rstrip("/"))):
            yield f"there is no {word}"


def known(name):
    builtin = subprocess.run(["bash", "-c", 'type -t -- "$0"', name], capture_output=True)
    return builtin.returncode == 0 or shutil.which(name) or (ROOT / ".venv/bin" / name).exists()


def riskcast_faults(words):
    command, path = typer.main.get_command(app), "riskcast"
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            yield f"{path} has no command {' '.join(words[:1])!r}"
            return
        command, path, words = command.commands[words[0]], f"{path} {words[0]}", words[1:]
    try:
        given = command.make_context(path, list(words)).params
        if path in ("riskcast run", "riskcast backfill"):
            asked = pipeline(given["name"])
            if given.get("step"):
                asked.step(given["step"])
    except (typer.TyperException, RiskcastError) as error:
        yield f"{path}: {error.format_message() if hasattr(error, 'format_message') else error}"
    if path == "riskcast airflow" and "--dag-id" in words:
        dag = words[words.index("--dag-id") + 1]
        if dag not in PIPELINES:
            yield f"there is no DAG {dag}"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_holds_only_commands_that_exist(block):
    assert wrong(block) == []


def test_every_kind_of_page_holds_commands():
    assert {block.page.split("/")[1] for block in BLOCKS if "/" in block.page} >= {
        "tutorials", "how-to", "runbook.md",
    }  # fmt: skip


def test_only_what_needs_another_place_is_left_out_of_the_walk():
    """So that a block is not marked because it fails."""
    reasons = {block.elsewhere for block in BLOCKS} - {""}
    assert reasons <= NEEDS, f"say in NEEDS what a bare machine lacks: {reasons - NEEDS}"


NEEDS = {
    "an AWS account",
    "a Docker daemon",
    "keys of data vendors",
    "a mail server",
    "root",
    "an hour",
    "PyPI's advisories",
}


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("riskcast modles list", "no command 'modles'"),
        ("riskcast models promote 3", "--why"),
        ("riskcast predict --as-of 2018-12-20", "--as-of"),
        ("riskcast run market_dayly", "market_dayly"),
        ("riskcast run market_daily featrues", "featrues"),
        ("riskcast airflow backfill create --dag-id nope", "no DAG nope"),
        ("RISKCAST_SOURCE=files make rnu", "no target rnu"),
        ("cat docs/nowhere.md", "no docs/nowhere.md"),
        ("echo $(riskcast stauts)", "no command 'stauts'"),
        ("true && frobnicate | cat", "frobnicate"),
        ("if true; then", "syntax error"),
    ],
)
def test_the_check_sees_what_is_wrong(code, fault):
    assert any(fault in each for each in wrong(Block("page.md", 1, code + "\n", "")))


def test_the_check_passes_what_is_right():
    code = (
        'curl -s http://127.0.0.1:8080/predict -H "X-API-Key: $(cat .riskcast/keys/api.key)" \\\n'
        "  -d '{}'\n"
        "RISKCAST_CORES=1 riskcast run market_daily features --end 2018-12-31 > out.txt 2>&1\n"
        "python3 - <<'END'\nimport frobnicate\nEND\n"
        "riskcast models promote 3 --why 'because'  # a comment; not a command\n"
    )
    assert wrong(Block("page.md", 1, code, "")) == []
