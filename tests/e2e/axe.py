"""What people with disabilities could not use on a page, as axe-core finds it."""

from importlib.resources import files
from typing import Any


def grave_faults(page: Any) -> list[tuple[str, list[str]]]:
    """Return the rules broken seriously or critically, each with its first places.

    axe.min.js comes with the package axe-playwright-python. Without the package this raises:
    a check that did not run is no check passed.
    """
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
