"""What pages lead to is there: pages, headings, pictures; and mails lead to the runbook."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.docs.shell import ROOT

from riskcast.core import errors
from riskcast.pipelines import PIPELINES

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "terraform/README.md")
)


def anchors(page: Path) -> set[str]:
    """What a browser finds after #, as GitHub and the site make it from headings."""
    found, tokens = set(), MarkdownIt().parse(page.read_text())
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            told = "".join(child.content for child in inline.children or ())
            found.add(re.sub(r"[^\w -]", "", told.lower()).strip().replace(" ", "-"))
    return found


def links(page: Path) -> set[str]:
    """Targets of links and pictures, those of the page's own HTML too; no other host's."""
    text = page.read_text()
    found = set(re.findall(r'(?:src|srcset|href)="([^"]+)"', text))
    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or ():
            found |= {child.attrs[name] for name in ("href", "src") if name in child.attrs}
    return {each for each in found if not re.match(r"\w+:", each)}


def broken(page: Path) -> list[str]:
    wrong = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return sorted(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    assert broken(ROOT / page) == []


def test_the_check_sees_a_page_a_heading_and_a_picture_that_are_gone(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# A b\n\n[x](#a-b) [y](#c) [z](b.md)\n\n![p](p.svg)\n<img src='q'>\n")
    assert broken(page) == ["#c", "b.md", "p.svg"]


def test_every_page_is_in_the_sites_menu():
    """Decisions are reached through their index."""
    menu = set(re.findall(r'"([\w/-]+\.md)"', str(site()["nav"]).replace("'", '"')))
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert menu == {page for page in there if not re.match(r"adr/\d", page)}


def site():
    return tomllib.loads((ROOT / "zensical.toml").read_text())["project"]


@pytest.mark.parametrize("folder", ["src", "plugins", "dags"])
def test_what_the_code_sends_people_to_is_there(folder):
    """Mails, messages and docstrings name pages of docs/ with the heading to read."""
    for path in (ROOT / folder).rglob("*"):
        if path.suffix not in (".py", ".j2", ".html"):
            continue
        for page, anchor in re.findall(r"\b(docs/[\w/-]+\.md)(?:#([\w-]+))?", path.read_text()):
            assert (ROOT / page).exists(), f"{path}: {page}"
            if anchor:
                assert anchor in anchors(ROOT / page), f"{path}: {page}#{anchor}"


def test_every_pipeline_has_its_section_in_the_runbook():
    assert set(PIPELINES) <= anchors(ROOT / "docs/runbook.md")


def test_every_error_has_a_cause_and_a_cure_on_its_page():
    page = (ROOT / "docs/reference/errors.md").read_text()
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.RiskcastError):
            assert re.search(rf"^│? *[│├└─ ]*{error.__name__}\b", errors.__doc__, re.MULTILINE)
            assert error.cure
            if error is not errors.RiskcastError:
                assert f"## {error.code}\n" in page


def test_every_refusal_of_the_api_is_on_its_page():
    page = (ROOT / "docs/reference/api.md").read_text()
    folder = ROOT / "src/riskcast/serving"
    source = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    template = (ROOT / "nginx/nginx.conf.template").read_text()
    codes = set(re.findall(r'Refusal\(\s*\d+,\s*"([\w-]+)"', source))
    codes |= set(re.findall(r'"code":"([\w-]+)"', template))
    assert len(codes) > 10
    assert {code for code in codes if f"`{code}`" not in page} == set()
