"""A receiver of progress that remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Counting:
    """Counts the units of each job, and keeps the messages."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.messages: list[str] = []

    @contextmanager
    def task(self, description: str, **_: Any) -> Iterator[Any]:
        outer = self
        self.done.setdefault(description, 0)

        class Task:
            def advance(self, count: int = 1) -> None:
                outer.done[description] += count

            def set_total(self, total: int) -> None: ...

            def note(self, text: str) -> None: ...

        yield Task()

    def message(self, text: str) -> None:
        self.messages.append(text)
