"""A model as an object: it encodes passages to vectors, and queries to scorers of vectors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hypencli.api.arguments import flag, float32_array, optional_text, text_list, whole_number
from hypencli.errors import ModelError, UsageError
from hypencli.paths import exists, user_path
from hypencli.runtime import resolve_device, resolve_dtype

if TYPE_CHECKING:
    import torch

    from hypencli.models.dual import DualEncoder
    from hypencli.models.encoding import QueryStates


class EncodedQueries:
    """Encoded queries that score vectors: q-nets of a Hypencoder, or vectors of a bi-encoder.

    Call it on passage vectors ``[n, d]`` to get scores ``[q, n]``.

    Examples:
        The folder ``model`` holds a trained model.

        >>> import hypencli
        >>> model = hypencli.load("model")
        >>> queries = model.encode_queries(["what is a river", "what is a star"])
        >>> len(queries)
        2
        >>> vectors = model.encode_passages(["water and a boat", "moon", "bread"])
        >>> queries(vectors).shape
        (2, 3)
    """

    def __init__(self, states: QueryStates, dim: int) -> None:
        self._states = states
        self._dim = dim

    def __len__(self) -> int:
        return len(self._states)

    def __call__(self, vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Compute scores ``[q, n]`` of passage vectors ``[n, d]``, real numbers.

        Raises:
            UsageError: The vectors have another shape, or another width than the model.
            ModelError: A score is NaN or infinite, because its vector is not finite or is too long.
                The message names both.
        """
        import torch

        from hypencli.engine.blocks import refuse_non_finite

        array = float32_array(vectors, "vectors")
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

    def vectors(self) -> npt.NDArray[np.float32]:
        """Return the query vectors ``[q, d]`` of a bi-encoder.

        Raises:
            UsageError: The queries are q-nets.
        """
        if self._states.has_q_nets:
            raise UsageError(
                "The model makes q-nets, which are no vectors.",
                hint="Score passages with them: model.encode_queries(texts)(vectors)",
            )
        vectors: npt.NDArray[np.float32] = self._states.vectors().float().cpu().numpy()
        return vectors

    @property
    def device(self) -> torch.device:
        """Device on which scores are computed."""
        return self._states.device

    def scorer(self) -> Any:
        """Return the scorer, as search engines take it."""
        from hypencli.engine.scorers import InnerProductScorer, QNetScorer

        if self._states.has_q_nets:
            return QNetScorer(self._states.q_nets(), self._dim)
        return InnerProductScorer(self._states.vectors())


class Model:
    """A Hypencoder or bi-encoder with its tokenizer.

    Attributes:
        dual: The torch module: ``HypencoderDualEncoder`` or ``TextDualEncoder``.
        tokenizer: Its tokenizer.

    Examples:
        The folder ``model`` holds a trained model of width 32.

        >>> import hypencli
        >>> model = hypencli.load("model")
        >>> model.encode_passages(["water and a boat", "moon and sun"]).shape
        (2, 32)
        >>> model.dim
        32
    """

    def __init__(self, dual: DualEncoder, tokenizer: Any, device: torch.device) -> None:
        self.dual = dual
        self.dual.to(device)
        self.tokenizer = tokenizer
        self.device = device

    @property
    def dim(self) -> int:
        """Width ``d`` of the passage vectors."""
        width: int = self.dual.passage_encoder.width
        return width

    def encode_passages(
        self,
        texts: Iterable[str],
        *,
        max_length: int = 512,
        batch_size: int | None = None,
        dtype: str = "float32",
    ) -> npt.NDArray[np.float32]:
        """Encode passages to vectors ``[n, d]``.

        Args:
            texts: The passages.
            max_length: Maximum number of tokens of a passage; longer passages are cut.
            batch_size: Passages per batch; None fills batches up to a number of tokens.
            dtype: Arithmetic: float32, bfloat16 or float16.

        Raises:
            UsageError: ``texts`` is one text, or a number is too small or not whole.
            DataError: A passage is not Unicode text.
            ModelError: A vector is not finite, which can occur in float16. The message names the
                text.
        """
        from hypencli.models.encoding import EncodingOptions, encode_passages

        options = EncodingOptions(
            max_length=whole_number(max_length, "max_length", least=2),
            batch_size=None if batch_size is None else whole_number(batch_size, "batch_size"),
            dtype=resolve_dtype(str(optional_text(dtype, "dtype"))),
            device=self.device,
        )
        passages = text_list(texts, "Passage")
        vectors = encode_passages(self.dual.passage_encoder, self.tokenizer, passages, options)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"The vector of passage {int(np.argmin(finite)) + 1} is not finite.",
                hint="Compute in another type: dtype='float32'",
            )
        return vectors

    def encode_queries(
        self, texts: Iterable[str], *, max_length: int = 64, width: int | None = None
    ) -> EncodedQueries:
        """Encode queries to q-nets, or to vectors if the model is a bi-encoder.

        Call the result on passage vectors to score them.

        Args:
            texts: The queries.
            max_length: Maximum number of tokens of a query; longer queries are cut.
            width: Hidden width of the q-nets, for a model with nested widths; None selects the full
                width.

        Raises:
            UsageError: ``texts`` is one text or empty, or a number is too small or not whole.
            DataError: A query is not Unicode text.
            ModelError: The model has no q-nets of this width.
        """
        from hypencli.models.encoding import EncodingOptions, encode_queries

        queries = text_list(texts, "Query")
        if not queries:
            raise UsageError("There is no query: the list is empty.")
        options = EncodingOptions(
            max_length=whole_number(max_length, "max_length", least=2), device=self.device
        )
        wanted = None if width is None else whole_number(width, "width")
        states = encode_queries(
            self.dual.query_encoder, self.tokenizer, queries, options, width=wanted
        )
        return EncodedQueries(states, self.dim)

    def encode_document(self, texts: Iterable[str], **options: Any) -> npt.NDArray[np.float32]:
        """Encode documents, by the name of Sentence Transformers; see :meth:`encode_passages`."""
        return self.encode_passages(texts, **options)

    def encode_query(self, texts: Iterable[str], **options: Any) -> npt.NDArray[np.float32]:
        """Encode queries to vectors ``[q, d]``, by the name of Sentence Transformers.

        Args:
            texts: The queries.
            **options: Those of :meth:`encode_queries`.

        Raises:
            UsageError: The model makes q-nets, which are no vectors.
        """
        states = self.encode_queries(texts, **options)
        return states.vectors()


def load(
    name: str | Path,
    *,
    backbone: str | None = None,
    pooling: str | None = None,
    device: str | None = None,
    trust_code: bool = False,
) -> Model:
    """Load a model from a folder, the hub, or the store around the current folder.

    Args:
        name: A folder, a name on the hub, or the name of a model in the store.
        backbone: Name or folder of the backbone, for checkpoints that do not fully describe it.
        pooling: Pooling of a plain encoder that does not record its own.
        device: ``cpu``, ``cuda``…; None selects the best available device.
        trust_code: Allow the checkpoint to run q-net converter code of its own.

    Raises:
        UsageError: An argument has another type.
        ModelError: The model does not exist or cannot be loaded.
    """
    from hypencli.models.checkpoints.config import checked_pooling
    from hypencli.models.load import load_dual_encoder

    if not isinstance(name, str | Path):
        raise UsageError(f"name: a folder or a name was expected, not {name!r:.80}.")
    dual, tokenizer = load_dual_encoder(
        str(_folder_of(str(name)) or name),
        backbone=optional_text(backbone, "backbone"),
        pooling=None if pooling is None else checked_pooling(pooling, where="pooling"),
        trust_code=flag(trust_code, "trust_code"),
    )
    return Model(dual, tokenizer, resolve_device(optional_text(device, "device")))


def _folder_of(name: str) -> Path | None:
    """Return the folder of a model with this name in the store around the current folder."""
    if exists(user_path(name)) or "/" in name:
        return None
    from hypencli.ops.models import model_folder
    from hypestore import ArtifactNotFound, Store, StoreNotFound, find_store

    try:
        store = Store.open(find_store())
        return model_folder(store, store.get(name, kind="model"))
    except (StoreNotFound, ArtifactNotFound):
        return None
