"""The page: a list of mails, each to be read as its reader would see it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from jinja2 import Environment, PackageLoader, select_autoescape

from riskcast.inbox import mails

USER = "admin"
# A mail's HTML is shown in a frame of its own that may run nothing and reach nobody.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


basic = HTTPBasic(realm="Riskcast inbox")
templates = Environment(
    loader=PackageLoader("riskcast.inbox"), autoescape=select_autoescape(default=True)
)


def allowed(request: Request, given: Annotated[HTTPBasicCredentials, Depends(basic)]) -> Path:
    """Return the Maildir to a reader with the password; 401 to anybody else."""
    wanted = (USER, request.app.state.password)
    said = (given.username, given.password)
    pairs = zip(said, wanted, strict=True)
    if not all([secrets.compare_digest(a.encode(), b.encode()) for a, b in pairs]):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="inbox"'}
        )
    folder: Path = request.app.state.folder
    return folder


Folder = Annotated[Path, Depends(allowed)]
router = APIRouter()


def create_app(folder: Path, password: str) -> FastAPI:
    """Return the page over a Maildir, behind HTTP Basic with user admin and that password."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.folder, app.state.password = folder, password
    app.include_router(router)
    return app


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the page is alive."""
    return {"status": "ok"}


@router.get("/")
def index(folder: Folder) -> HTMLResponse:
    """The newest mails."""
    return _shown("list.html", heads=mails.heads(folder))


@router.get("/mail/{key}")
def mail(key: str, folder: Folder) -> HTMLResponse:
    """One mail with its parts."""
    return _shown("mail.html", mail=_found(folder, key))


@router.get("/mail/{key}/html")
def html(key: str, folder: Folder) -> HTMLResponse:
    """The HTML part alone, in a sandbox."""
    sandboxed = {**HEADERS, "Content-Security-Policy": f"{POLICY}; sandbox"}
    return HTMLResponse(_found(folder, key).html, headers=sandboxed)


@router.get("/mail/{key}/attachment/{index}")
def attachment(key: str, index: int, folder: Folder) -> Response:
    """One attachment, to be saved and never to be opened in place."""
    part = mails.attachment(folder, key, index)
    if part is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "there is no such attachment")
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in part[0])
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(part[1], media_type="application/octet-stream", headers=HEADERS | disposition)


def _shown(name: str, **values: object) -> HTMLResponse:
    return HTMLResponse(templates.get_template(name).render(**values), headers=HEADERS)


def _found(folder: Path, key: str) -> mails.Opened:
    found = mails.opened(folder, key)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "there is no such mail")
    return found
