"""The process of the server: sockets, signals, the log."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hypencli.errors import UsageError
from hypencli.serve.app import create_app
from hypencli.serve.settings import Settings

HEADER_SECONDS = 10.0
"""Time in which the headers of a request must arrive."""

KEEP_ALIVE_SECONDS = 30
CONNECTIONS = 512
"""Most connections; further ones are answered with status 503."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections whose headers do not arrive."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; wait on while headers are incomplete."""
        super().data_received(data)
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun and self._deadline is None:
            self._wait()
        elif not begun:
            self._end_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """A server that tells its address when it answers, and its streams when it ends."""

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[str], None], ending: Event
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for answers that have begun."""
        self._ending.set()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the socket."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_started(f"http://{f'[{host}]' if ':' in host else host}:{port}")


def serve(settings: Settings, on_started: Callable[[str], None]) -> None:
    """Answer requests until a signal ends the process; questions that wait are answered first.

    Args:
        settings: What to answer from, and to whom.
        on_started: Called with the address when the server answers.

    Raises:
        StoreNotFound: There is no store.
        UsageError: The address cannot be listened at.
    """
    server, opened = make_server(settings, on_started)
    with opened:
        server.run([opened])


def make_server(
    settings: Settings, on_started: Callable[[str], None]
) -> tuple[uvicorn.Server, socket.socket]:
    """Make a server and open its socket; see :func:`serve`."""
    opened = _listen(settings.host, settings.port)
    with ExitStack() as on_error:
        on_error.callback(opened.close)
        app = create_app(settings)
        on_error.pop_all()
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(settings.limits.request_seconds),
    )
    return _Server(config, on_started, app.state.server.ending), opened


def _listen(host: str, port: int) -> socket.socket:
    """Open a socket.

    Raises:
        UsageError: The address is in use, or is none of this machine.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        with ExitStack() as on_error:
            on_error.callback(opened.close)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(place)
            on_error.pop_all()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "this is no name of a host"
        raise UsageError(
            f"Cannot listen at {host:.200}, port {port}: {reason}.",
            hint="Choose another one: `port=8081`, or 0 for any that is free",
        ) from error
    return opened


def log_to(handler: logging.Handler) -> None:
    """Send the log of the server to a handler."""
    log = logging.getLogger("hypencli.serve")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False
