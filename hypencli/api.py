"""The library in five lines: a model as an object, a store as an object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hypencli.errors import ModelError, UsageError
from hypencli.runtime import resolve_device, resolve_dtype

if TYPE_CHECKING:
    import torch

    from hypencli.models.dual import DualEncoder
    from hypencli.models.encoding import QueryStates
    from hypencli.ops.search.ask import Asker, Hit
    from hypestore import Store


class EncodedQueries:
    """Queries ready to score: q-nets of a Hypencoder, or vectors of a bi-encoder.

    Call it on passage vectors ``[n, d]`` to get scores ``[q, n]``.
    """

    def __init__(self, states: QueryStates, dim: int) -> None:
        self._states = states
        self._dim = dim

    def __len__(self) -> int:
        return len(self._states)

    def __call__(self, vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Scores ``[q, n]`` of passage vectors ``[n, d]``.

        Raises:
            UsageError: The vectors have another width than the model.
            ModelError: A score is NaN or infinite, for the vector is, or is too long; names both.
        """
        import torch

        from hypencli.engine.blocks import refuse_non_finite

        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self._dim:
            raise UsageError(
                f"Passage vectors of shape {list(array.shape)} do not fit; "
                f"expected [n, {self._dim}].",
                hint="Make them with model.encode_passages(texts).",
            )
        with torch.inference_mode():
            scores: npt.NDArray[np.float32] = (
                self.scorer()(torch.from_numpy(array).to(self.device)).float().cpu().numpy()
            )
        refuse_non_finite(scores, 0, lambda rows: [f"number {row + 1}" for row in rows.tolist()])
        return scores

    @property
    def device(self) -> torch.device:
        """Where scores are computed."""
        return self._states.device

    def scorer(self) -> Any:
        """The scorer that search engines take."""
        from hypencli.engine.scorers import InnerProductScorer, QNetScorer

        if self._states.has_q_nets:
            return QNetScorer(self._states.q_nets(), self._dim)
        return InnerProductScorer(self._states.vectors())


class Model:
    """A Hypencoder or bi-encoder with its tokenizer.

    Attributes:
        dual: The torch module: ``HypencoderDualEncoder`` or ``TextDualEncoder``.
        tokenizer: Its tokenizer.
    """

    def __init__(self, dual: DualEncoder, tokenizer: Any, device: torch.device) -> None:
        self.dual = dual
        self.dual.to(device)  # type: ignore[arg-type]
        self.tokenizer = tokenizer
        self.device = device

    @property
    def dim(self) -> int:
        """Width ``d`` of the passage vectors."""
        width: int = self.dual.passage_encoder.width
        return width

    def encode_passages(
        self,
        texts: Sequence[str],
        *,
        max_length: int = 512,
        batch_size: int | None = None,
        dtype: str = "float32",
    ) -> npt.NDArray[np.float32]:
        """Vectors ``[n, d]`` of passages.

        Args:
            texts: The passages.
            max_length: Tokens a passage is cut to.
            batch_size: Passages in a batch; None fills batches to a token budget.
            dtype: Arithmetic: float32, bfloat16 or float16.

        Raises:
            DataError: A passage is not Unicode text.
            ModelError: A vector is not finite, as arithmetic in float16 may give; names the text.
        """
        from hypencli.models.encoding import EncodingOptions, encode_passages

        options = EncodingOptions(
            max_length=max_length,
            batch_size=batch_size,
            dtype=resolve_dtype(dtype),
            device=self.device,
        )
        _check_texts(texts, "Passage")
        vectors = encode_passages(self.dual.passage_encoder, self.tokenizer, texts, options)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"The vector of passage {int(np.argmin(finite)) + 1} is not finite.",
                hint="Compute in another type: dtype='float32'",
            )
        return vectors

    def encode_queries(
        self, texts: Sequence[str], *, max_length: int = 64, width: int | None = None
    ) -> EncodedQueries:
        """Q-nets (or, for a bi-encoder, vectors) of queries; call them on passage vectors.

        Args:
            texts: The queries.
            max_length: Tokens a query is cut to.
            width: Hidden width of the q-nets, of a model that nests several; None is the full one.

        Raises:
            DataError: A query is not Unicode text.
            ModelError: The model has no q-nets of that width.
        """
        from hypencli.models.encoding import EncodingOptions, encode_queries

        _check_texts(texts, "Query")

        options = EncodingOptions(max_length=max_length, device=self.device)
        states = encode_queries(
            self.dual.query_encoder, self.tokenizer, texts, options, width=width
        )
        return EncodedQueries(states, self.dim)


def _check_texts(texts: Sequence[str], what: str) -> None:
    from hypencli.data.reading.rows import checked_text

    for number, text in enumerate(texts, start=1):
        checked_text(text, f"{what} {number}")


def load(
    name: str | Path,
    *,
    backbone: str | None = None,
    pooling: str | None = None,
    device: str | None = None,
    trust_code: bool = False,
) -> Model:
    """Load a model: a folder, a name on the hub, or a model of the store around the current folder.

    Args:
        name: Where the model is.
        backbone: Name or folder of the backbone, for checkpoints that do not say all about it.
        pooling: Pooling of a plain encoder that does not record its own.
        device: ``cpu``, ``cuda``…; None takes the best there is.
        trust_code: Allow the checkpoint to name q-net converter code of its own.

    Raises:
        ModelError: There is no such model, or it cannot be loaded.
    """
    from hypencli.models.checkpoints.config import checked_pooling
    from hypencli.models.load import load_dual_encoder

    dual, tokenizer = load_dual_encoder(
        str(_folder_of(str(name)) or name),
        backbone=backbone,
        pooling=None if pooling is None else checked_pooling(pooling, where="pooling"),
        trust_code=trust_code,
    )
    return Model(dual, tokenizer, resolve_device(device))


def _folder_of(name: str) -> Path | None:
    """The folder of a model of the store around the current folder, if it has one of that name."""
    if Path(name).expanduser().exists() or "/" in name:
        return None
    from hypencli.ops.models import model_folder
    from hypestore import (
        ArtifactNotFound,
        Store,
        StoreNotFound,
        find_store,
    )

    try:
        store = Store.open(find_store())
        return model_folder(store, store.get(name, kind="model"))
    except (StoreNotFound, ArtifactNotFound):
        return None


class Project:
    """A project store, and what to ask of it.

    Attributes:
        store: The storage layer's object, for everything that is not here.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._askers: dict[tuple[object, ...], Asker] = {}

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        model: str | None = None,
        embeddings: str | None = None,
        corpus: str | None = None,
        query_max_length: int = 64,
        width: int | None = None,
        trust_code: bool = False,
    ) -> list[Hit]:
        """The ``k`` best documents for a question, with their text where it was kept.

        Args:
            question: What is asked.
            k: How many documents.
            model: A model of the store; None takes its default, else the newest.
            embeddings: An embedding set; None finds the one of the model (and the corpus).
            corpus: Corpus id, where several are encoded.
            query_max_length: Tokens the question is cut to.
            width: Hidden width of the q-net, of a model that nests several; None is the full one.
            trust_code: Allow the model to name q-net converter code of its own.

        Raises:
            UsageError: No embedding set fits the model, or several do.
            ModelError: The model has no q-nets of that width.
        """
        from hypencli.ops.models import ModelSource
        from hypencli.ops.search.ask import Asker
        from hypencli.ops.search.options import Scoring, SearchOptions, Target

        key = (model, embeddings, corpus, query_max_length, width, trust_code)
        if key not in self._askers:
            options = SearchOptions(
                target=Target(embeddings=embeddings, corpus=corpus),
                scoring=Scoring(query_max_length=query_max_length, width=width),
            )
            source = ModelSource(model, trust_code=trust_code)
            self._askers[key] = Asker(self.store, source, options)
        return self._askers[key].ask(question, k=k).hits

    def sql(self, statement: str) -> list[dict[str, object]]:
        """Rows of a read-only query over the catalog, as dictionaries.

        Raises:
            CatalogQueryError: It is no query, one that changes or reaches something, or too large.
        """
        result = self.store.catalog.query(statement)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def open_store(path: str | Path | None = None) -> Project:
    """Open a project store.

    Args:
        path: Its folder; None looks upward from the current folder, as git does.

    Raises:
        StoreNotFound: There is none; the message lists where it was looked for.
    """
    from hypestore import Store, find_store

    return Project(Store.open(Path(path) if path is not None else find_store()))
