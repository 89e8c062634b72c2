"""The terminal that results are drawn on."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from hypencli.escaping import escape_terminal

_WIDTH_OF_FILES = 160


class Terminal(Console):
    """Plain text: no markup, emoji or highlighting; wide where the output goes to a file.

    Whatever is printed was made harmless, should a verb have forgotten to.
    """

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        super().__init__(width=width, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts and tables; nothing in a text steers the terminal."""
        texts = [escape_terminal(one) if isinstance(one, str) else one for one in objects]
        super().print(*texts, **options)

    def on_broken_pipe(self) -> None:
        """A reader that leaves (``| head``) is handled where the program ends."""
        raise BrokenPipeError
