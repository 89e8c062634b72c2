"""Start and end of the ``hype`` process: its streams, rare garbage collection, fast exit."""

from __future__ import annotations

import atexit
import codecs
import gc
import io
import os
import sys

from hypencli.escaping import escape_unencodable

_ESCAPES = "hype-escapes"
"""Name of the error handler of stdout, for :func:`codecs.register_error`."""

_COLLECTED = (700, 10, 100)
"""Thresholds of the garbage collector; the oldest objects are checked ten times less often."""


class OwnProcess:
    """Settings for a process that runs only ``hype``; create it before heavy imports.

    Importing torch and transformers creates 370,000 permanent objects. Python would scan them six
    times, and free them one by one at exit, which takes most of a second. The operating system
    frees the memory anyway. So the process ends with ``os._exit`` as soon as all functions
    registered with ``atexit`` have run.

    Attributes:
        code: The exit code. While it is None, such as after an error, Python ends as usual.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        gc.set_threshold(*_COLLECTED)
        atexit.register(self._leave)  # functions run in reverse order, so this one runs last

    def _leave(self) -> None:
        """Flush the output and end the process; Python reports an output that cannot be flushed."""
        if self.code is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return
        os._exit(self.code)


def open_standard_streams() -> None:
    r"""Make the three standard streams usable, whatever started the process.

    A closed stream (``>&-``) becomes the null device. Otherwise the next file that is opened would
    get its number, and would be read or overwritten in its place. What the encoding of stdout does
    not have is written as ``\uXXXX``, which is the same text in JSON.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            opened = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, opened)
    codecs.register_error(_ESCAPES, escape_unencodable)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPES)


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
