"""The builder ``exact``: all documents are compared, and a build that was stopped goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hypencli.ops.graphs.builder import GraphBuilder, GraphWork
from hypencli.progress import Progress
from hypencli.runtime import resolve_dtype
from hypencli.signals import Terminated, handle_signals

if TYPE_CHECKING:
    from hypencli.engine.neighbours.exact import ExactNeighbours
    from hypencli.engine.neighbours.top_neighbours import Ordinals

SAVE_SECONDS = 10.0
"""Least time between two savings of a build."""

_SAVING_SHARE = 20
"""Saving may take one part in so many of the time."""

_SAVED_NAME = "neighbours.npz"


@dataclass(frozen=True, kw_only=True)
class ExactBuilder(GraphBuilder):
    """Compares all documents, in matrix products of blocks."""

    help: ClassVar[str] = "compares all documents"
    advice: ClassVar[str] = "compute with dtype=float32"

    dtype: Annotated[str, Field(description="arithmetic: float32, bfloat16, float16")] = "float32"

    @property
    def is_exact(self) -> bool:
        """Whether it finds all neighbours: products in other types are rounded."""
        return self.dtype == "float32"

    def bytes_to_save(self, n_documents: int, k: int) -> int:
        """Disk for the neighbours so far, with their similarities."""
        return 8 * n_documents * k

    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """The exact neighbours, saved from time to time.

        Raises:
            KeyboardInterrupt: A signal stopped it; it is saved.
        """
        from hypencli.engine.neighbours.exact import ExactNeighbours
        from hypencli.engine.neighbours.similarity import Similarity

        similarity = Similarity(work.metric, work.device, resolve_dtype(self.dtype))
        neighbours = ExactNeighbours(work.corpus, similarity, k=work.k)
        saved = SavedWork(work.scratch / _SAVED_NAME, neighbours)
        n_pairs = neighbours.n_pairs
        if saved.restore():
            work.progress.message(
                f"going on: {neighbours.n_done:,} of {n_pairs:,} pairs of blocks are done"
            )
        with (
            work.progress.task("graph", total=n_pairs, unit="pairs of blocks") as task,
            saved.when_stopped(work.progress),
        ):
            task.advance(neighbours.n_done)
            neighbours.run(on_done=task.advance, on_pause=saved.pause)
        yield from neighbours.neighbours()


class SavedWork:
    """How far an exact build is, in a file: written from time to time, and when it is stopped.

    Args:
        path: The file.
        work: The build.
    """

    def __init__(self, path: Path, work: ExactNeighbours) -> None:
        self._path = path
        self._work = work
        self._signal: int | None = None
        self._next = time.monotonic() + SAVE_SECONDS

    def restore(self) -> bool:
        """Go on from the file, where there is one that fits; whether there was."""
        try:
            with self._path.open("rb") as stored:
                return self._work.load(stored)
        except FileNotFoundError:
            return False

    def pause(self) -> None:
        """Between two pairs: save when it is time.

        Raises:
            KeyboardInterrupt: The work is to end; it is saved.
        """
        if self._signal is None and time.monotonic() < self._next:
            return
        from hypestore import atomic_path

        started = time.monotonic()
        self._path.parent.mkdir(exist_ok=True)
        with atomic_path(self._path) as temporary, temporary.open("wb") as out:
            self._work.save(out)
        ended = time.monotonic()
        self._next = ended + max(SAVE_SECONDS, _SAVING_SHARE * (ended - started))
        if self._signal is not None:
            raise Terminated(self._signal)

    def when_stopped(self, progress: Progress) -> AbstractContextManager[None]:
        """Take a signal as a wish to stop; a second Ctrl-C ends the process at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number
            progress.message("Stopping after these pairs of blocks; Ctrl-C again: now.")

        return handle_signals(stop)
