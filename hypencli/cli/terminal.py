"""The terminal that results are drawn on."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_FILES = 160


class Terminal(Console):
    """Plain text as it is: no markup, no highlighting; wide where the output goes to a file."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        super().__init__(width=width, highlight=False, markup=False)

    def on_broken_pipe(self) -> None:
        """A reader that leaves (``| head``) is handled where the program ends."""
        raise BrokenPipeError
