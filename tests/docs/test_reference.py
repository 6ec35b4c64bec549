"""The generated pages are those of the code."""

from tests.docs.shell import ROOT

from riskcast.cli.reference import pages


def test_every_generated_page_is_up_to_date():
    stale = [name for name, text in pages().items() if (ROOT / "docs" / name).read_text() != text]
    assert stale == [], "run `riskcast docs`"


def test_every_command_is_on_its_page_with_what_it_does():
    page = pages()["reference/commands.md"]
    for command in ("riskcast backfill", "riskcast models promote", "riskcast demo drift"):
        assert f"## {command}\n" in page
    assert "| `--why` | required | Reason, kept in the ledger. |" in page
    sections = page.split("\n## ")[1:]
    assert all(len(section.split("```")[2].strip()) > 10 for section in sections)


def test_every_route_of_the_api_is_on_its_page():
    page = pages()["reference/http.md"]
    for route in ("POST /predict", "GET /health", "GET /metrics", "POST /monitoring/drift/alert"):
        assert f"## {route}\n" in page
    assert "| `as_of_date` | string date or null |" in page
