"""Signals that end a command: Ctrl-C, SIGTERM, and SIGHUP of a closed terminal.

The exit code is 128 plus the number of the signal, as in a shell: 130, 143 or 129.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATION_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that end a command, as far as this system has them."""

Handler = Callable[[int, FrameType | None], None]


class Terminated(KeyboardInterrupt):
    """A signal ends the command.

    Args:
        number: The signal; None stands for Ctrl-C.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = signal.SIGINT if number is None else number
        super().__init__(self.number)


class ReaderLeft(BrokenPipeError):
    """The reader of the command's output has closed the pipe."""


@contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Call a handler for every termination signal while the block runs.

    Signals that this process ignores already (``nohup``, background jobs) stay ignored. After a
    terminal was closed, output to it is discarded. Outside the main thread nothing changes, because
    only the main thread receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    drawn_on = terminals()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            silence(drawn_on)
        handler(number, frame)

    wanted = [
        kind for kind in TERMINATION_SIGNALS if signal.getsignal(kind) not in (signal.SIG_IGN, None)
    ]
    before = {kind: signal.signal(kind, on_signal) for kind in wanted}
    try:
        yield
    finally:
        for kind, earlier in before.items():
            signal.signal(kind, earlier)


def terminals() -> list[int]:
    """Return those of the descriptors 1 (stdout) and 2 (stderr) that are open terminals."""
    return [number for number in (1, 2) if os.isatty(number)]


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """Raise :class:`Terminated` at once; this is a signal handler."""
    raise Terminated(number)


def leave_to_the_system() -> None:
    """Restore the default handlers, so that a signal ends the process at once."""
    if threading.current_thread() is threading.main_thread():
        for kind in TERMINATION_SIGNALS:
            if signal.getsignal(kind) not in (signal.SIG_IGN, None):
                signal.signal(kind, signal.SIG_DFL)


def silence(descriptors: Iterable[int] = (1, 2)) -> None:
    """Redirect file descriptors to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in descriptors:
        os.dup2(nowhere, number)
    os.close(nowhere)


def readers_left() -> bool:
    """Return whether stdout or stderr is a pipe whose reader has left (``| head``)."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
