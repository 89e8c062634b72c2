"""What every request passes first: who may ask, how much it may send, what answers must carry."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
import socket
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hypencli.serve.failures import Refused, error_response, unknown_error
from hypencli.serve.metrics import Metrics
from hypencli.serve.settings import Settings

_LOG = logging.getLogger("hypencli.serve")

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not set them itself."""

_OPEN = ("/healthz",)
"""Addresses that need no token: they tell nothing of the store."""


class Guard:
    """An ASGI application around another one.

    It checks host, origin and token, reads the body within its limits, adds security headers,
    counts requests and writes one line of log for each. The line has no query. An error that the
    application does not handle becomes an answer with status 500.

    Args:
        app: The application.
        settings: Hosts, origins, token and limits.
        metrics: Counts requests.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._names = {"localhost", socket.gethostname().lower(), *settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._refuse(scope)
            receive = await self._read_body(scope, receive)
        except Refused as refused:
            self._metrics.refused(refused.status)
            await error_response(refused)(scope, receive, send_guarded)
        else:
            try:
                await self._app(scope, receive, send_guarded)
            except Exception as error:
                if status:  # an answer has begun: only closing the connection is left
                    raise
                await unknown_error(error)(scope, receive, send_guarded)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request(scope, status, seconds)
            self._log(scope, status, seconds)

    def _refuse(self, scope: Scope) -> None:
        """Refuse a request by its headers.

        Raises:
            Refused: Host, origin or token is not accepted.
        """
        headers = Headers(scope=scope)
        self._refuse_host(headers.get("host", ""))
        self._refuse_origin(scope, headers)
        if self._settings.token is not None and scope["path"] not in _OPEN:
            sent = _sent_token(headers.get("authorization", ""))
            if not hmac.compare_digest(sent.encode(), self._settings.token.encode()):
                raise Refused(
                    401,
                    "The request has no valid token.",
                    hint="Send the header `Authorization: Bearer TOKEN`.",
                )

    def _refuse_host(self, host: str) -> None:
        """Refuse a name that the server does not have: a page elsewhere may have rebound it."""
        name = _host_name(host)
        if name is None or not (name in self._names or _is_address(name)):
            raise Refused(
                421,
                f"This server is not {host!r:.100}.",
                hint="Start it with --name NAME for each name by which it is reached.",
            )

    def _refuse_origin(self, scope: Scope, headers: Headers) -> None:
        """Refuse requests that a page of another site makes."""
        origin = headers.get("origin")
        if origin is not None:
            own = f"{scope.get('scheme', 'http')}://{headers.get('host', '')}"
            if origin != own and origin not in self._settings.origins:
                raise Refused(
                    403,
                    f"Pages of {origin!r:.100} may not ask this server.",
                    hint="Start it with --origin ORIGIN to allow them.",
                )
            return
        # A link that somebody follows to the page is no request of another page's program.
        followed = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not followed:
            raise Refused(403, "Pages of other sites may not ask this server.")

    async def _read_body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, and return what hands it on.

        Raises:
            Refused: The body is too large or too slow.
        """
        limits = self._settings.limits
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(limits.body_seconds):
                more, size = True, 0
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(499, "The client has left.")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(
                408, f"The body was not there after {limits.body_seconds:g} seconds."
            ) from None
        return _replay(b"".join(chunks), receive)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        if self._settings.log_queries and scope.get("query_string"):
            path += "?" + scope["query_string"].decode("latin-1")
        elif not self._settings.log_queries:
            path = getattr(scope.get("route"), "path", path if status < 400 else "")
        _LOG.info("%s %.200s %d %.0f ms", scope["method"], path, status, seconds * 1000)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"The body of the request is larger than {limit:,} bytes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that hands a body on, then what follows: that the client has left."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _sent_token(authorization: str) -> str:
    """Return the token of a header: a bearer token, or a password, which browsers ask for."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _host_name(host: str) -> str | None:
    """Return the name in a ``Host`` header, without port; None if the header is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    """Whether a host is an address. Nobody can rebind it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
