"""What mails say: the decision first, then why, then the figures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from riskcast.alerts.mail import Mail

COLOURS = {"alarm": "#b91c1c", "warn": "#b45309", "ok": "#15803d"}
ROWS = 12  # of a table; the report has them all


@dataclass(frozen=True, slots=True)
class Figures:
    """A small table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it is rendered.

    Attributes
    ----------
    decision : str
        What the reader is to do or may leave be; subject and first line.
    why : str
        One or two sentences.
    verdict : {"ok", "warn", "alarm"}
    pictures : tuple of (content id, alternative text)
    images : mapping of content id to PNG
    links : tuple of (name, address)
    """

    decision: str
    why: str
    verdict: str
    footer: str
    tables: tuple[Figures, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    images: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    links: tuple[tuple[str, str], ...] = ()
    attachments: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def mail(self) -> Mail:
        """Return the mail, pictures by content id."""
        return Mail(
            self.decision,
            _template("letter.txt.j2").render(letter=self),
            self._html(lambda cid: f"cid:{cid}"),
            images=self.images,
            attachments=self.attachments,
        )

    def page(self) -> str:
        """Return the HTML with its pictures inside, to be looked at in a browser."""

        def inside(cid: str) -> str:
            return "data:image/png;base64," + base64.b64encode(self.images[cid]).decode()

        return self._html(inside)

    def _html(self, source: Callable[[str], str]) -> str:
        colour = COLOURS[self.verdict]
        return _template("letter.html.j2").render(letter=self, colour=colour, source=source)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("riskcast.alerts"),
        # Names and reasons come from data; the text part is no HTML.
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
