"""The builders of neighbour graphs at work: chosen, resumed, stopped, measured."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hypencli.errors import MissingDependencyError, UsageError
from hypencli.progress import Progress
from hypencli.runtime import resolve_device, resolve_dtype
from hypencli.signals import Ended, heeding
from hypestore import SCRATCH_NAME, EmbeddingSet, GraphDraft, atomic_path

if TYPE_CHECKING:
    import torch

    from hypencli.engine.nearest import Ordinals
    from hypencli.engine.neighbours import ExactNeighbours
    from hypencli.engine.similarity import Metric, Similarity
    from hypencli.ops.graph import GraphOptions

AUTO_EXACT_DOCUMENTS = 100_000
"""Up to so many documents the exact builder is as fast as the others."""

SAMPLE_DOCUMENTS = 1000
"""Documents whose neighbours are compared with the exact ones."""

SAVE_SECONDS = 10.0
"""Least time between two savings of an exact build."""

_SAVING_SHARE = 20
"""Saving may take one part in so many of the time."""

_SETTINGS = {
    "nn-descent": ("candidates", "iterations", "trees", "seed"),
    "hnsw": ("m", "ef_construction", "ef_search", "seed"),
    "faiss-hnsw": ("m", "ef_construction", "ef_search", "seed"),
}
_PACKAGES = {"nn-descent": "pynndescent", "hnsw": "hnswlib", "faiss-hnsw": "faiss"}


def choose_builder(corpus: EmbeddingSet, options: GraphOptions, progress: Progress) -> str:
    """The builder that ``auto`` stands for here, or the one named.

    Raises:
        MissingDependencyError: ``auto`` finds too many documents to compare all, and no package.
        UsageError: A dtype for a builder that computes in float32.
    """
    builder = recorded_builder(options.builder)
    if builder != options.builder:
        progress.message("hnswlib is not installed: the builder is faiss-hnsw, HNSW by faiss")
    if builder == "auto":
        builder = "exact" if corpus.n <= AUTO_EXACT_DOCUMENTS else _approximate(corpus, options)
        progress.message(f"builder: {builder} ({corpus.n:,} documents; --builder takes another)")
    if builder != "exact" and options.dtype != "float32":
        raise UsageError(
            f"The builder {builder} computes in float32, not in {options.dtype}.",
            hint="--dtype is for --builder exact",
        )
    return builder


def recorded_builder(builder: str) -> str:
    """How a graph calls its builder: ``faiss-hnsw`` for ``hnsw`` where hnswlib is missing.

    The graphs of the two libraries differ.
    """
    from hypencli.engine.index_library import hnsw_library

    return "faiss-hnsw" if builder == "hnsw" and hnsw_library() == "faiss" else builder


def installed_builder() -> str | None:
    """An approximate builder whose package is there; None where there is none."""
    found = (name for name, package in _PACKAGES.items() if importlib.util.find_spec(package))
    return next(found, None)


def _approximate(corpus: EmbeddingSet, options: GraphOptions) -> str:
    builder = installed_builder()
    if builder is not None:
        return builder
    from hypencli.engine.neighbours import estimated_seconds

    hours = estimated_seconds(corpus, _similarity(options)) / 3600
    raise MissingDependencyError(
        f"To compare all of {corpus.n:,} documents takes about {hours:,.1f} hours here, and no "
        "package that finds neighbours faster is installed.",
        hint="pip install 'hypencli[nn-descent]', or take the time: --builder exact",
    )


def builder_inputs(builder: str, options: GraphOptions) -> dict[str, str | int]:
    """What determines the neighbours, besides the embedding set and k."""
    settings = _SETTINGS.get(builder, ("dtype",))
    chosen = {name: getattr(options, name) for name in settings}
    return {"metric": options.metric, "builder": builder, **chosen}


def what_to_raise(builder: str) -> str:
    """What makes a builder find more of the neighbours."""
    return {
        "nn-descent": "raise --candidates, --iterations or --trees",
        "hnsw": "raise --ef-search, --ef-construction or --m",
        "faiss-hnsw": "raise --ef-search, --ef-construction or --m",
        "exact": "compute in another type: --dtype float32",
    }.get(builder, "make one here: hype graph")


def bytes_of_build(draft: GraphDraft, builder: str) -> int:
    """What a build still takes on disk: ordinals, and what an exact one is saved with."""
    ordinals, saving = 4 * draft.n * draft.k, 8 * draft.n * draft.k
    if builder != "exact":
        return ordinals
    # A new saving is written beside the last one, which makes room then.
    return saving if _saved_in(draft).exists() else ordinals + saving


def _saved_in(draft: GraphDraft) -> Path:
    return draft.path / SCRATCH_NAME / "neighbours.npz"


def neighbour_blocks(
    draft: GraphDraft,
    corpus: EmbeddingSet,
    builder: str,
    options: GraphOptions,
    progress: Progress,
) -> Iterator[Ordinals]:
    """The neighbours of all documents in order, in blocks of rows."""
    from hypencli.engine import approximate

    settings = {name: getattr(options, name) for name in _SETTINGS.get(builder, ())}
    if builder == "exact":
        yield from _exact(draft, corpus, options, progress)
    elif builder in ("hnsw", "faiss-hnsw"):
        with progress.task("graph", total=2 * corpus.n, unit="documents") as task:
            yield from approximate.by_hnsw(
                corpus,
                options.metric,
                k=options.k,
                settings=approximate.Hnsw(**settings),
                library=_PACKAGES[builder],
                on_done=task.advance,
            )
    else:
        with progress.task("graph", unit="documents") as task:
            task.note("NN-descent says when it is done, and not before")
            yield from approximate.by_nn_descent(
                corpus, options.metric, k=options.k, settings=approximate.NNDescent(**settings)
            )


def _similarity(options: GraphOptions) -> Similarity:
    from hypencli.engine.similarity import Similarity

    device, dtype = resolve_device(options.device), resolve_dtype(options.dtype)
    return Similarity(options.metric, device, dtype)


def _exact(
    draft: GraphDraft, corpus: EmbeddingSet, options: GraphOptions, progress: Progress
) -> Iterator[Ordinals]:
    """The exact neighbours, saved from time to time in the folder of the graph."""
    from hypencli.engine.neighbours import ExactNeighbours

    work = ExactNeighbours(corpus, _similarity(options), k=options.k)
    saved = Saved(_saved_in(draft), work)
    if saved.restore():
        progress.message(f"going on: {work.n_done:,} of {work.n_pairs:,} pairs of blocks are done")
    with (
        progress.task("graph", total=work.n_pairs, unit="pairs of blocks") as task,
        saved.when_stopped(progress),
    ):
        task.advance(work.n_done)
        work.run(on_done=task.advance, on_pause=saved.pause)
    yield from work.neighbours()


class Saved:
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
        started = time.monotonic()
        self._path.parent.mkdir(exist_ok=True)
        with atomic_path(self._path) as temporary, temporary.open("wb") as out:
            self._work.save(out)
        ended = time.monotonic()
        self._next = ended + max(SAVE_SECONDS, _SAVING_SHARE * (ended - started))
        if self._signal is not None:
            raise Ended(self._signal)

    def when_stopped(self, progress: Progress) -> AbstractContextManager[None]:
        """Take a signal as a wish to stop; a second Ctrl-C ends the process at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number
            progress.message("Stopping after these pairs of blocks; Ctrl-C again: now.")

        return heeding(stop)


class Sample:
    """Documents whose neighbours are compared with the exact ones.

    Args:
        n: Documents of the set.
        k: Neighbours of a document.
        seed: Of the choice.
    """

    def __init__(self, n: int, *, k: int, seed: int) -> None:
        import numpy as np

        chosen = np.random.default_rng(seed).choice(n, min(n, SAMPLE_DOCUMENTS), replace=False)
        self._ordinals = np.sort(chosen)
        self._k, self._seed = k, seed
        self._rows: list[Ordinals] = []

    def watch(self, blocks: Iterable[Ordinals]) -> Iterator[Ordinals]:
        """Pass blocks of rows on, and keep the sample's."""
        first = 0
        for block in blocks:
            own = self._ordinals - first
            self._rows.append(block[own[(own >= 0) & (own < len(block))]])
            first += len(block)
            yield block

    def recall(
        self, corpus: EmbeddingSet, metric: Metric, device: torch.device, progress: Progress
    ) -> dict[str, float | int]:
        """What is said of it in the manifest, ``value`` above all."""
        import numpy as np

        from hypencli.engine.approximate import recall
        from hypencli.engine.neighbours import nearest_of
        from hypencli.engine.similarity import Similarity

        similarity = Similarity(metric, device)
        with progress.task("recall", total=corpus.n, unit="documents") as task:
            exact = nearest_of(self._ordinals, corpus, similarity, k=self._k, on_done=task.advance)
        return {
            "value": recall(np.concatenate(self._rows), exact),
            "k": self._k,
            "sample": len(self._ordinals),
            "seed": self._seed,
        }
