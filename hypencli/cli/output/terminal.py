"""The console on which results are drawn."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from hypencli.escaping import escape_terminal

_WIDTH_OF_FILES = 160


class Terminal(Console):
    """A console for plain text, without markup, emoji or highlighting.

    Output to a file is 160 columns wide. Control characters in texts are escaped.
    """

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        super().__init__(width=width, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts and tables, with control characters in texts escaped."""
        texts = [escape_terminal(one) if isinstance(one, str) else one for one in objects]
        super().print(*texts, **options)

    def on_broken_pipe(self) -> None:
        """Raise on a closed pipe, which :func:`hypencli.__main__.main` handles."""
        raise BrokenPipeError
