"""Models that score training rows for distillation: cross-encoders, bi-encoders, Hypencoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import UsageError
from hypencli.ops.models import ModelSource, files_fingerprint, find_model, load_model, model_facts
from hypencli.records import TrainingRow
from hypencli.runtime import quiet_libraries, resolve_device, resolve_dtype

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hypencli.models.cross_encoder import CrossEncoder
    from hypencli.models.dual import DualEncoder
    from hypencli.models.encoding import EncodingOptions
    from hypestore import Store

    Scores = npt.NDArray[np.float32]

DEFAULT_MAX_LENGTH = 512
"""Tokens a pair or passage is cut to, where the model reads as many."""

KEPT_VECTORS = 100_000
"""Passages whose vectors a bi-encoder keeps for later rows: 400 MB with their texts, or so."""


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """How a teacher reads.

    Attributes:
        max_length: Tokens that a pair (cross-encoder) or a passage is cut to; None takes 512, or
            what the model reads where that is less.
        query_max_length: Tokens that a bi-encoder's or Hypencoder's query is cut to.
        batch_size: Texts in a batch; None fills batches to a token budget.
        dtype: Arithmetic of the encoder.
        device: Where it runs; None takes the best there is.
    """

    max_length: int | None = None
    query_max_length: int = 64
    batch_size: int | None = None
    dtype: str = "float32"
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model that scores rows.

    Attributes:
        name: What to call it.
        identity: What decides its scores, as plain JSON values.
        score: Scores of the items of some rows, row after row.
    """

    name: str
    identity: Mapping[str, object]
    score: Callable[[Sequence[TrainingRow]], Scores]


def cross_encoder(name: str, *, label: str | None, options: TeacherOptions) -> Teacher:
    """A sequence classifier from a folder or the hub as a teacher.

    Raises:
        ModelError: It is no cross-encoder, or has several outputs and ``label`` names none.
        UsageError: It reads fewer tokens than it is to.
    """
    from hypencli.models.checkpoints.weights import locate
    from hypencli.models.cross_encoder import load_cross_encoder

    quiet_libraries()
    source = folder_or_name(name)
    loaded = load_cross_encoder(source, label=label)
    settings = _settings(options, longest=loaded.longest)
    loaded.model.to(settings.device)  # type: ignore[arg-type]
    identity = {
        "kind": "cross-encoder",
        "files_sha256": files_fingerprint(locate(source)),
        "label": loaded.label,
        "max_length": settings.max_length,
        "dtype": options.dtype,
    }
    return Teacher(name, identity, lambda rows: _score_pairs(loaded, rows, settings))


def _score_pairs(
    loaded: CrossEncoder, rows: Sequence[TrainingRow], settings: EncodingOptions
) -> Scores:
    from hypencli.models.cross_encoder import score_pairs

    pairs = [(row.query.text, item.content) for row in rows for item in row.items]
    return score_pairs(loaded, pairs, settings)


def dual_encoder(
    source: ModelSource, *, options: TeacherOptions, store: Callable[[], Store]
) -> Teacher:
    """A bi-encoder or Hypencoder as a teacher: of the store, from a folder, or from the hub.

    Args:
        source: The model.
        options: How it reads.
        store: Opens the store, where the model is one of it.

    Raises:
        ModelError: It cannot be loaded.
        UsageError: It reads fewer tokens than it is to.
    """
    quiet_libraries()
    name = str(source.name)
    dual, tokenizer = _load_dual(source, options, store)
    settings = _settings(options, longest=tokenizer.model_max_length)
    dual.to(settings.device)  # type: ignore[arg-type]
    facts = model_facts(dual, tokenizer)
    identity = {
        "kind": facts["architecture"],
        "model": facts["model_fingerprint"],
        "passages": facts["passage_fingerprint"],
        "max_length": settings.max_length,
        "query_max_length": options.query_max_length,
        "dtype": options.dtype,
    }
    queries = replace(settings, max_length=options.query_max_length)
    return Teacher(name, identity, _DualScores(dual, tokenizer, settings, queries))


class _DualScores:
    """Inner products, or the scores of q-nets; the vectors of the last passages are kept."""

    def __init__(
        self, dual: DualEncoder, tokenizer: Any, settings: EncodingOptions, queries: EncodingOptions
    ) -> None:
        self._dual = dual
        self._tokenizer = tokenizer
        self._settings = settings
        self._queries = queries
        self._vectors: dict[str, Scores] = {}

    def __call__(self, rows: Sequence[TrainingRow]) -> Scores:
        """Scores of the items of some rows, row after row."""
        import numpy as np
        import torch

        from hypencli.engine.scorers import scorer_of
        from hypencli.models.encoding import encode_queries

        asked = list(dict.fromkeys(row.query.text for row in rows))
        encoded = encode_queries(self._dual.query_encoder, self._tokenizer, asked, self._queries)
        places = {text: place for place, text in enumerate(asked)}
        vectors = self._read(rows)
        scores = []
        with torch.inference_mode():
            for row in rows:
                own = np.stack([vectors[item.content] for item in row.items])
                place = places[row.query.text]
                scorer = scorer_of(encoded, range(place, place + 1), own.shape[1])
                row_scores = scorer(torch.from_numpy(own).to(self._settings.device))[0]
                scores.append(row_scores.float().cpu().numpy())
        return np.concatenate(scores)

    def _read(self, rows: Sequence[TrainingRow]) -> Mapping[str, Scores]:
        """Vectors of the passages of some rows; those read last are the last to be forgotten."""
        from hypencli.models.encoding import encode_passages

        wanted = dict.fromkeys(item.content for row in rows for item in row.items)
        cached = {text: self._vectors.pop(text) for text in wanted if text in self._vectors}
        new = [text for text in wanted if text not in cached]
        vectors = encode_passages(self._dual.passage_encoder, self._tokenizer, new, self._settings)
        cached.update(zip(new, vectors, strict=True))
        self._vectors.update(cached)
        for text in list(islice(self._vectors, max(0, len(self._vectors) - KEPT_VECTORS))):
            del self._vectors[text]
        return cached


def _load_dual(
    source: ModelSource, options: TeacherOptions, store: Callable[[], Store]
) -> tuple[DualEncoder, Any]:
    from hypencli.models.checkpoints.config import checked_pooling
    from hypencli.models.load import load_dual_encoder

    name = str(source.name)
    if not comes_from_outside(name):
        opened = store()
        manifest = find_model(opened, source)
        device = resolve_device(options.device)
        loaded = load_model(opened, manifest, device=device, trust_code=source.trust_code)
        return loaded.dual, loaded.tokenizer
    pooling = source.pooling
    return load_dual_encoder(
        folder_or_name(name),
        backbone=source.backbone,
        pooling=None if pooling is None else checked_pooling(pooling, where="pooling"),
        trust_code=source.trust_code,
    )


def comes_from_outside(name: str) -> bool:
    """Whether a model is a folder or ``owner/name`` of a hub, not one of the store."""
    return Path(name).expanduser().is_dir() or "/" in name


def folder_or_name(name: str) -> str | Path:
    """A folder as a path, the name of a hub as it is."""
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else name


def _settings(options: TeacherOptions, *, longest: int) -> EncodingOptions:
    from hypencli.models.encoding import EncodingOptions

    if options.max_length is not None and options.max_length > longest:
        raise UsageError(
            f"The maximal length {options.max_length} is more than the model reads, {longest}.",
            hint=f"`max_length={longest}`",
        )
    return EncodingOptions(
        max_length=options.max_length or min(DEFAULT_MAX_LENGTH, longest),
        batch_size=options.batch_size,
        dtype=resolve_dtype(options.dtype),
        device=resolve_device(options.device),
    )
