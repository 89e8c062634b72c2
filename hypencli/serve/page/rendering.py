"""Templates, style sheets, scripts and errors of the page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from hypencli._version import __version__
from hypencli.errors import HypeError, UsageError
from hypencli.reporting.rendering import source_of, template_environment
from hypencli.serve.failures import error_record, error_response
from hypestore import StoreError

_PACKAGE = "hypencli.serve.page"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Only the files of the server are loaded. Nothing in a document or a name is run."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_SHARED = {"report.css": "style.css", "sort.js": "sort.js"}
"""Files that the report of the command has too: name on the page -> name in the report."""

_OWN = ("page.css", "theme.js", "live.js", "details.js", "now.js", "keys.js")
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A style sheet or a script; ``version`` is a hash of its content."""

    content: bytes
    media_type: str
    version: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the style sheets and scripts by name."""
    folder = resources.files(_PACKAGE) / "static"
    texts = {name: source_of(shared) for name, shared in _SHARED.items()}
    texts |= {name: (folder / name).read_text(encoding="utf-8") for name in _OWN}
    made = {}
    for name, text in texts.items():
        content = text.encode("utf-8")
        version = hashlib.sha256(content).hexdigest()[:12]
        made[name] = Asset(content, _TYPES[name.rpartition(".")[2]], version)
    return made


def asset_routes(router: APIRouter) -> None:
    """Add the route of style sheets and scripts, which browsers keep until they change."""

    @router.get("/page/static/{name}")
    async def static(name: str) -> Response:
        asset = assets().get(name)
        if asset is None:
            raise HTTPException(404, "There is no such file")
        headers = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def link_to(path: str, **fields: object) -> str:
    """Return an address of the page with the fields that are not empty or None."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def rendered(template: str, **values: Any) -> str:
    """Render a template as HTML."""
    environment = template_environment(_PACKAGE)
    addresses = {name: f"/page/static/{name}?v={one.version}" for name, one in assets().items()}
    return environment.get_template(template).render(
        asset=addresses, version=__version__, link_to=link_to, **values
    )


def html(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template as a response."""
    return HTMLResponse(rendered(template, **values), status, _HEADERS)


class PageRoute(APIRoute):
    """A route whose errors are HTML: a page, or a part of it if a part was asked for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with errors shown."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except (HypeError, StoreError) as error:
                return _failure(request, error)
            except RequestValidationError as error:
                problems = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()[:5]]
                return _failure(request, UsageError(f"{'; '.join(problems)}."))

        return shown


def _failure(request: Request, error: HypeError | StoreError) -> Response:
    plain = error_response(error)
    is_part = "part" in request.query_params
    response = html(
        "failure.html" if is_part else "error.html",
        status=plain.status_code,
        error=error_record(error),
        store=request.app.state.server.store.root.name,
        view="",
        title="Error",
    )
    if (seconds := plain.headers.get("Retry-After")) is not None:
        response.headers["Retry-After"] = seconds
    return response
