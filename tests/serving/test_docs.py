"""/docs and /openapi.json: complete, and nothing from another host."""

import re
from importlib.util import find_spec

import pytest

from riskcast.serving.docs import PACKAGE

needs_package = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is missing")


def test_the_page_asks_nothing_of_another_host(anonymous):
    page = anonymous.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@needs_package
@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_what_the_page_needs_is_served_here(anonymous, name):
    assert name in anonymous.get("/docs").text
    assert len(anonymous.get(f"/docs/{name}").content) > 100_000


@pytest.mark.parametrize("name", ["__init__.py", "..%2F__init__.py", "redoc.standalone.js"])
def test_nothing_else_of_the_package_is_served(anonymous, name):
    assert anonymous.get(f"/docs/{name}").status_code == 404


def test_every_operation_has_a_described_answer(anonymous):
    said = anonymous.get("/openapi.json").json()
    for path, operations in said["paths"].items():
        for method, operation in operations.items():
            done = next(said for status, said in operation["responses"].items() if status < "300")
            content = done["content"]
            assert any(each.get("schema") for each in content.values()), (method, path)
            if "requestBody" in operation and not path.startswith("/admin"):
                body = operation["requestBody"]["content"]["application/json"]
                assert body["examples"], (method, path)


def test_the_links_of_the_first_page_lead_somewhere(client):
    links = client.get("/").json()["links"]
    for path in links.values():
        if not path.startswith("/ws/"):
            assert client.get(path).status_code in (200, 405), path
