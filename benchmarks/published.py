"""The published searches, run from a checkout of the published code, to measure against.

    git clone https://github.com/jfkback/hypencoder-paper FOLDER
    python benchmarks/exact.py --published FOLDER

Nothing of that code is here. It is imported from the folder and patched in memory, never on disk:

- Packages that its modules import and its searches do not call (command lines, files of encoded
  items) are replaced by empty ones where they are not installed.
- A retriever gets its vectors, ids and neighbours from here, not from files, and its q-net from the
  published converter with the weights of hype's q-net. Reading a query, tokenizer and transformer,
  is left out on both sides.
- At a step of the graph search with one candidate the published code fails, because ``squeeze``
  leaves no axis: the score, and what ``topk`` gives, keep their one axis.
- ``copy`` of the module of the graph search is the standard library's: the published module takes
  NumPy's function of that name, which has no ``deepcopy``.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

VARIABLE = "HYPE_PUBLISHED"
"""The folder of the checkout, for the processes that a benchmark starts."""

NOT_CALLED = {
    "fire": ("Fire",),
    "docarray": ("BaseDoc", "DocList"),
    "docarray.typing": ("NdArray",),
    "jsonlines": (),
}
"""Modules that the searches import without a call, and the names that they import of them."""

Ranking = list[tuple[str, float]]


def set_folder(folder: Path | None) -> None:
    """Have this process, and those that it starts, use a checkout; None if there is none."""
    if folder is None:
        return
    if not (folder / "hypencoder_cb").is_dir():
        raise SystemExit(
            f"{folder} is no checkout of the published code: it has no folder hypencoder_cb"
        )
    os.environ[VARIABLE] = str(folder.resolve())


def side() -> str:
    """The name of the side that hype is measured against."""
    return "published" if VARIABLE in os.environ else "plain"


def module(name: str) -> Any:
    """Import a module of the published code."""
    folder = os.environ[VARIABLE]
    if folder not in sys.path:
        sys.path.insert(0, folder)
        missing = [
            package
            for package in NOT_CALLED
            if importlib.util.find_spec(package.partition(".")[0]) is None
        ]
        for package in missing:
            _replace(package, NOT_CALLED[package])
    return importlib.import_module(f"hypencoder_cb.{name}")


def _replace(package: str, names: Sequence[str]) -> None:
    empty = types.ModuleType(package)
    for name in names:
        setattr(empty, name, types.new_class(name))
    sys.modules[package] = empty


def q_net(net: Any, dtype: torch.dtype = torch.float32) -> Any:
    """The published q-net with the weights of a q-net of hype, of the published architecture."""
    shapes = net.converter.weight_shapes
    converter = module("modeling.q_net").RepeatedDenseBlockConverter(
        [shapes[0][0], *(out for _, out in shapes)]
    )
    cast = [[tensor.to(dtype) for tensor in side] for side in (net.matrices, net.vectors)]
    return converter(*cast, is_training=False)


class _Inputs(dict[str, None]):
    """What a tokenizer gives, without tokens."""

    def to(self, device: object) -> _Inputs:
        return self


class _Model:
    """Stands in for the query encoder: gives the q-net of a query that was encoded before."""

    def __init__(self) -> None:
        self.q_net: object = None

    def query_encoder(self, **_: object) -> types.SimpleNamespace:
        return types.SimpleNamespace(representation=self.q_net)


class _OneAxis:
    """A tensor ``[n]`` whose axis stays."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def squeeze(self, *_: int) -> Any:
        return self._tensor


class _Torch:
    """The library, whose ``topk`` of one score gives tensors whose axis stays."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def topk(scores: torch.Tensor, k: int, dim: int) -> tuple[Any, Any]:
        values, places = torch.topk(scores, k, dim=dim)
        return (values, places) if k != 1 else (_OneAxis(values), _OneAxis(places))


class Searcher:
    """A published retriever, used with q-nets instead of texts.

    Attributes:
        evaluations: Documents that the last search scored.
    """

    def __init__(self, retriever: Any, query: Any) -> None:
        self._retriever, self._query = retriever, query
        retriever.model = _Model()
        retriever.tokenizer = lambda *_, **__: _Inputs(input_ids=None, attention_mask=None)
        self.evaluations = 0

    @torch.no_grad()
    def search(self, published_net: Callable[[torch.Tensor], torch.Tensor], k: int) -> Ranking:
        """The best ``k`` documents of a query by its published q-net."""
        self.evaluations = 0

        def counted(vectors: torch.Tensor) -> Any:
            self.evaluations += vectors.shape[1]
            scores = published_net(vectors)  # [1, n, 1]
            return scores if scores.shape[1] != 1 else _OneAxis(scores.reshape(1))

        self._retriever.model.q_net = counted
        return [(item.id, item.score) for item in self._retriever.retrieve(self._query, k)]


def exact_search(
    ids: Sequence[str], vectors: np.ndarray, dtype: torch.dtype = torch.float32
) -> Searcher:
    """The published exhaustive search over vectors ``[n, d]``, with its own defaults."""
    shared, retrieve = module("inference.shared"), module("inference.retrieve")
    retriever = object.__new__(retrieve.HypencoderRetriever)
    vars(retriever).update(
        dtype=dtype,
        device="cpu",
        batch_size=100_000,
        query_max_length=32,
        ignore_same_id=False,
        put_on_device=True,
        query_model_kwargs={},
        encoded_item_embeddings=torch.from_numpy(vectors).to(dtype),
        encoded_item_ids=list(ids),
        encoded_item_texts=[""] * len(ids),
    )
    return Searcher(retriever, shared.TextQuery(id="q", text=""))


def graph_search(
    ids: Sequence[str],
    vectors: np.ndarray,
    neighbours: np.ndarray,
    *,
    entry_points: int,
    candidates: int,
    max_iterations: int,
    early_stop: bool,
) -> Searcher:
    """The published graph search over vectors ``[n, d]`` and neighbours ``[n, m]``."""
    shared, approximate = module("inference.shared"), module("inference.approx_retrieve")
    approximate.copy, approximate.torch = copy, _Torch()
    names = list(ids)
    retriever = object.__new__(approximate.HypecoderGraphRetriever)
    vars(retriever).update(
        device="cpu",
        query_max_length=32,
        num_entry_points=min(entry_points, len(names)),
        ncandidates=candidates,
        max_iter=max_iterations,
        early_stop=early_stop,
        ids=names,
        encoded_item_embeddings=torch.from_numpy(vectors.astype(np.float32)),
        item_id_to_index={name: place for place, name in enumerate(names)},
        item_id_to_content=dict.fromkeys(names, ""),
        item_neighbor_ids={
            name: [names[near] for near in row.tolist() if near >= 0]
            for name, row in zip(names, neighbours, strict=True)
        },
    )
    retriever._set_entry_points()
    return Searcher(retriever, shared.TextQuery(id="q", text=""))
