"""Start and end of the ``hype`` process: rare garbage collection, and exit without teardown."""

from __future__ import annotations

import atexit
import gc
import os
import sys

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
