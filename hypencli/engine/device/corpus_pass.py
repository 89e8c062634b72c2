"""A pass over all vectors of a corpus on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from hypencli.engine.blocks import SetsAside, refuse_non_finite, refuse_width
from hypencli.engine.corpus import DocIds, Scores
from hypencli.engine.device.best import BestOnDevice
from hypencli.engine.device.scoring import DeviceScorer
from hypencli.engine.device.streaming import DeviceBlocks
from hypencli.engine.results import OnScored
from hypencli.engine.scorers import PassScorer
from hypencli.engine.seconds import SearchSeconds
from hypencli.engine.topk import TopK


@dataclass(frozen=True, slots=True)
class DevicePass:
    """A pass that keeps the best documents of every query; its scores stay on the device.

    Attributes:
        doc_ids: Returns the id of a document whose score is not finite, for the error.
        tie_ids: Returns the ids that break ties.
        dtype: Arithmetic of the scores.
        k: The number of documents kept for a query.
        on_scored: Called with the number of scores just computed.
        watch: Called with the scores ``[q, n]`` of each block, and the ordinal of its first
            document. Only for this are all scores copied to the host.
        aside: Documents that get the score ``SET_ASIDE`` from all queries.
    """

    doc_ids: DocIds
    tie_ids: DocIds
    dtype: torch.dtype
    k: int
    on_scored: OnScored | None = None
    watch: Callable[[Scores, int], None] | None = None
    aside: SetsAside | None = None

    @torch.inference_mode()
    def __call__(
        self, scorer: PassScorer, blocks: DeviceBlocks
    ) -> tuple[list[TopK], SearchSeconds, int]:
        """Return the best of each query, the time of each part, and the number of documents.

        Raises:
            ModelError: A score is NaN or infinite, the width of the vectors differs from that of
                the scorer, or the device lacks memory.
        """
        started, n_documents = time.perf_counter(), 0
        with _current(blocks.device):
            score = DeviceScorer(scorer, blocks, self.dtype, self.aside)
            best = BestOnDevice(scorer.n_queries, self.k, blocks.device)
            for first, block in blocks.on_device():
                refuse_width(block.shape[1], scorer.dim, first)
                scores = score(block)  # [q, n]
                if not bool(torch.isfinite(scores).all()):
                    refuse_non_finite(scores.cpu().numpy(), first, self.doc_ids)
                best.add(scores, first)
                if self.watch is not None:
                    self.watch(scores.cpu().numpy(), first)
                if self.on_scored is not None:
                    self.on_scored(scores.numel())
                n_documents = first + len(block)
            scored = time.perf_counter()
            tops = best.on_host(self.tie_ids)
        seconds = SearchSeconds(scoring=scored - started, topk=time.perf_counter() - scored)
        return tops, seconds, n_documents


def _current(device: torch.device) -> AbstractContextManager[Any]:
    """Make a CUDA device the current one, so that ``cuda:1`` is not left for ``cuda:0``."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
