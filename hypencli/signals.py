"""Signals that ask a command to end: Ctrl-C, SIGTERM, and the terminal that was closed.

A verb ends with 128 and the signal's number, as a shell has it: 130, 143 or 129.
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
"""The signals that ask for an end, those that this system has."""

Handler = Callable[[int, FrameType | None], None]


class Terminated(KeyboardInterrupt):
    """A signal asks the command to end.

    Args:
        number: The signal; None stands for Ctrl-C.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = signal.SIGINT if number is None else number
        super().__init__(self.number)


class ReaderLeft(BrokenPipeError):
    """Nobody reads what a command prints, and it is known to be that pipe."""


@contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Have a handler called for every signal that asks for an end, for the length of the block.

    Those that this process was told to ignore (``nohup``, a job of a script) stay ignored. What is
    written to a terminal that was closed goes nowhere from then on. Outside the main thread, which
    alone gets signals, nothing is changed.
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
    """Which of stdout and stderr, 1 and 2, are a terminal; one that was closed is none."""
    return [number for number in (1, 2) if os.isatty(number)]


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """The handler of verbs that need no word with themselves before they end."""
    raise Terminated(number)


def leave_to_the_system() -> None:
    """From here on a signal ends the process at once: there is nothing left to tidy up."""
    if threading.current_thread() is threading.main_thread():
        for kind in TERMINATION_SIGNALS:
            if signal.getsignal(kind) not in (signal.SIG_IGN, None):
                signal.signal(kind, signal.SIG_DFL)


def silence(descriptors: Iterable[int] = (1, 2)) -> None:
    """What is written to these goes nowhere: nobody reads it any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in descriptors:
        os.dup2(nowhere, number)
    os.close(nowhere)


def readers_left() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more (``| head``)."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
