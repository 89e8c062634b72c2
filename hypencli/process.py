"""What a process of hype's own does besides its verb: collect garbage rarely, and end at once."""

from __future__ import annotations

import atexit
import gc
import os
import sys

_COLLECTED = (700, 10, 100)
"""How rarely Python looks for garbage: at old objects a tenth as often as it does by itself."""


class OwnProcess:
    """A process that is hype's from its start to its end; make one before anything heavy.

    The import of torch and transformers makes 370,000 objects that stay. Python would look through
    all of them six times meanwhile, and take them apart at the end, for the better part of a
    second, to give back memory that the system takes back by itself. So the process ends as soon
    as all that was asked to run at exit, since it began, has run.

    Attributes:
        code: The exit code; while it is None, as after an error, Python ends by itself.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        gc.set_threshold(*_COLLECTED)
        atexit.register(self._leave)  # what is registered first is called last

    def _leave(self) -> None:
        """Flush what was printed, and leave; what cannot be flushed is left for Python to tell."""
        if self.code is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return
        os._exit(self.code)
