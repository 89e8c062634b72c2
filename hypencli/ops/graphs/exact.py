"""The builder ``exact``: compares all documents. An interrupted build can resume."""

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
"""Minimum number of seconds between two saves of a build."""

_SAVING_SHARE = 20
"""Saving takes at most this fraction (1 / value) of the time."""

_SAVED_NAME = "neighbours.npz"


@dataclass(frozen=True, kw_only=True)
class ExactBuilder(GraphBuilder):
    """Compares all documents by matrix products of blocks."""

    help: ClassVar[str] = "compares all documents"
    advice: ClassVar[str] = "compute with dtype=float32"

    dtype: Annotated[str, Field(description="arithmetic: float32, bfloat16, float16")] = "float32"

    @property
    def is_exact(self) -> bool:
        """Whether all neighbours are found: dtypes other than float32 round similarities."""
        return self.dtype == "float32"

    def bytes_to_save(self, n_documents: int, k: int) -> int:
        """Return the number of bytes of the saved neighbours and their similarities."""
        return 8 * n_documents * k

    def build(self, work: GraphWork) -> Iterator[Ordinals]:
        """Compute the exact neighbours, and save the state regularly.

        Yields:
            Ordinals of documents, int32 ``[r, k]``.

        Raises:
            KeyboardInterrupt: A signal stopped the build; its state is saved.
        """
        from hypencli.engine.neighbours.exact import ExactNeighbours
        from hypencli.engine.neighbours.similarity import Similarity

        similarity = Similarity(work.metric, work.device, resolve_dtype(self.dtype))
        neighbours = ExactNeighbours(work.corpus, similarity, k=work.k)
        saved = SavedWork(work.scratch / _SAVED_NAME, neighbours)
        n_pairs = neighbours.n_pairs
        if saved.restore():
            work.progress.message(
                f"resuming: {neighbours.n_done:,} of {n_pairs:,} pairs of blocks are done"
            )
        with (
            work.progress.task("graph", total=n_pairs, unit="pairs of blocks") as task,
            saved.when_stopped(work.progress),
        ):
            task.advance(neighbours.n_done)
            neighbours.run(on_done=task.advance, on_pause=saved.pause)
        yield from neighbours.neighbours()


class SavedWork:
    """State of an exact build in a file, written regularly and when a signal arrives.

    Args:
        path: File of the state.
        work: The build.
    """

    def __init__(self, path: Path, work: ExactNeighbours) -> None:
        self._path = path
        self._work = work
        self._signal: int | None = None
        self._next = time.monotonic() + SAVE_SECONDS

    def restore(self) -> bool:
        """Load the state from the file. False means that there is no state of this build."""
        try:
            with self._path.open("rb") as stored:
                return self._work.load(stored)
        except FileNotFoundError:
            return False

    def pause(self) -> None:
        """Save the state if it is due or a signal arrived. Call it between two pairs of blocks.

        Raises:
            KeyboardInterrupt: A signal arrived; the state is saved.
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
        """Handle signals: the first one stops after a save, a second Ctrl-C stops at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number
            progress.message(
                "Stopping after these pairs of blocks; press Ctrl-C again to stop at once."
            )

        return handle_signals(stop)
