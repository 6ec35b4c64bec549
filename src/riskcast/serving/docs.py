"""/docs without the internet: Swagger UI from an installed package, not from a CDN."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from riskcast.serving.errors import Refusal

router = APIRouter(include_in_schema=False)
PACKAGE = "fastapi_offline"  # carries Swagger UI's files; nothing of it is imported
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
# The page's own script is inline; nothing may come from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Answer with Swagger UI over this server's own description."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} {request.app.version}",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"tryItOutEnabled": True, "persistAuthorization": False},
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


@router.get("/docs/{name}")
async def asset(name: str) -> FileResponse:
    """Answer with a file of Swagger UI.

    Raises
    ------
    Refusal
        404 not-found for other names, 503 docs-missing without the package.
    """
    if name not in _ASSETS:
        raise Refusal(404, "not-found", f"/docs has no file {name[:64]!r}", "Open /docs.")
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        message = f"the package {PACKAGE} with Swagger UI is not installed"
        raise Refusal(503, "docs-missing", message, "pip install 'riskcast[serve]'")
    return FileResponse(Path(found.origin).parent / "static" / name, media_type=_ASSETS[name])
