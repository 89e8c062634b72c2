"""Errors as JSON: the same record as ``hype --json`` prints, without paths of the machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hypencli.errors import EXIT_STORE, DataError, DeviceError, HypeError, ModelError, UsageError
from hypencli.private_paths import PathShortener
from hypencli.serve.lane import Closing, Overloaded
from hypestore import (
    AmbiguousReference,
    ArtifactNotFound,
    CatalogQueryError,
    StoreError,
    TextNotKept,
)

_LOG = logging.getLogger("hypencli.serve")


class TooSlow(HypeError):
    """A request took longer than the server allows."""


class Refused(HypeError):
    """A request that the server does not accept, whatever it asks.

    Args:
        status: HTTP status.
        message: What is wrong.
        hint: What to do.
    """

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (Overloaded, 429),
    (Closing, 503),
    (TooSlow, 503),
    (ArtifactNotFound, 404),
    (TextNotKept, 404),
    (AmbiguousReference, 400),
    (CatalogQueryError, 400),
    (StoreError, 500),
    (DeviceError, 500),
    (UsageError, 400),
    (DataError, 400),
    (ModelError, 400),
)
"""Class of an error -> HTTP status; the first that fits counts."""

_RETRY = {"Retry-After": "1"}
_HEADERS = {401: {"WWW-Authenticate": 'Basic realm="hype"'}, 429: _RETRY, 503: _RETRY}
"""Status -> what a client does next: ask the user for the token, or ask again in a second."""


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_record(error: HypeError | StoreError) -> dict[str, Any]:
    """Return an error as ``hype --json`` writes it, with absolute paths shortened."""
    short = PathShortener()
    return {
        "type": type(error).__name__,
        "message": short.text(str(error.args[0]) if error.args else type(error).__name__),
        "hint": None if error.hint is None else short.text(error.hint),
        "exit_code": EXIT_STORE if isinstance(error, StoreError) else error.exit_code,
    }


def error_response(error: HypeError | StoreError) -> JSONResponse:
    """Return the response for an error."""
    status = status_of(error)
    return JSONResponse({"error": error_record(error)}, status, _HEADERS.get(status))


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of an application an answer in JSON."""
    app.add_exception_handler(HypeError, _known)
    app.add_exception_handler(StoreError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _known(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HypeError | StoreError):
        raise error
    response = error_response(error)
    if response.status_code == 500:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
    return response


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return JSONResponse({"error": _validation_record(error)}, 422)


def _validation_record(error: RequestValidationError) -> Mapping[str, Any]:
    problems = [
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    ]
    return error_record(
        UsageError(
            f"The request is not valid: {'; '.join(problems[:5])}.",
            hint="GET /openapi.json describes all requests.",
        )
    )


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    problem = UsageError(f"{error.detail}.", hint="GET /openapi.json lists all addresses.")
    return JSONResponse({"error": error_record(problem)}, error.status_code, error.headers)


def unknown_error(error: Exception) -> JSONResponse:
    """Log an error that is no answer to anything in the request, and return a response for it."""
    _LOG.error("an error that the server does not know", exc_info=error)
    problem = HypeError(
        "The server failed in a way that it does not know.", hint="Its log has the traceback."
    )
    return JSONResponse({"error": error_record(problem)}, 500)
