"""Models that score training rows for distillation: cross-encoders, bi-encoders, Hypencoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypencli.errors import UsageError
from hypencli.ops.model_files import fingerprints
from hypencli.ops.models import (
    ModelSource,
    comes_from_outside,
    find_model,
    load_model,
    model_facts,
    read_model,
)
from hypencli.paths import is_dir, user_path
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
"""Default maximum number of tokens of a pair or passage, if the model reads as many."""

KEPT_VECTORS = 100_000
"""Passages whose vectors are cached for later rows, about 400 MB with their texts."""


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """How a teacher reads texts.

    Attributes:
        max_length: Maximum number of tokens of a pair (cross-encoder) or a passage. None selects
            512, or the maximum of the model if it is lower.
        query_max_length: Maximum number of tokens of a query of a bi-encoder or Hypencoder.
        batch_size: Texts per batch. None fills batches up to a number of tokens.
        dtype: Arithmetic of the encoder.
        device: Device of the model. None selects the best one.
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
        name: Name of the model.
        identity: Values that determine the scores, as JSON values.
        score: Computes the scores ``[n]`` of the items of some rows, row after row.
    """

    name: str
    identity: Mapping[str, object]
    score: Callable[[Sequence[TrainingRow]], Scores]


def cross_encoder(name: str, *, label: str | None, options: TeacherOptions) -> Teacher:
    """Load a cross-encoder from a folder or the hub as a teacher.

    Args:
        name: Folder, or name on the hub.
        label: Name of the output to use, for a model with several outputs.
        options: How to read texts.

    Raises:
        ModelError: The model is not a cross-encoder, or has several outputs and ``label`` is None.
        UsageError: ``max_length`` exceeds the maximum of the model.
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
        **fingerprints(locate(source), None),
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
    """Load a bi-encoder or Hypencoder from the store, a folder, or the hub as a teacher.

    Args:
        source: The model.
        options: How to read texts.
        store: Opens the store, for a model of the store.

    Raises:
        ModelError: The model cannot be loaded.
        UsageError: ``max_length`` exceeds the maximum of the model.
    """
    quiet_libraries()
    name = str(source.name)
    dual, tokenizer = _load_dual(source, options, store)
    settings = _settings(options, longest=tokenizer.model_max_length)
    dual.to(settings.device)
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
    """Scores by inner products or q-nets. The vectors of recent passages are cached."""

    def __init__(
        self, dual: DualEncoder, tokenizer: Any, settings: EncodingOptions, queries: EncodingOptions
    ) -> None:
        self._dual = dual
        self._tokenizer = tokenizer
        self._settings = settings
        self._queries = queries
        self._vectors: dict[str, Scores] = {}

    def __call__(self, rows: Sequence[TrainingRow]) -> Scores:
        """Compute the scores ``[n]`` of the items of some rows, row after row."""
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
        """Vectors of the passages of some rows, by text. The oldest are deleted from the cache."""
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
    name = str(source.name)
    if comes_from_outside(name):
        return read_model(source, folder_or_name(name))
    opened = store()
    manifest = find_model(opened, source)
    device = resolve_device(options.device)
    loaded = load_model(opened, manifest, device=device, trust_code=source.trust_code)
    return loaded.dual, loaded.tokenizer


def folder_or_name(name: str) -> str | Path:
    """Convert the name of a folder to a path. A name on the hub stays."""
    folder = user_path(name)
    return folder if is_dir(folder) else name


def _settings(options: TeacherOptions, *, longest: int) -> EncodingOptions:
    from hypencli.models.encoding import EncodingOptions

    if options.max_length is not None and options.max_length > longest:
        raise UsageError(
            f"The maximum length {options.max_length} exceeds the maximum of the model, {longest}.",
            hint=f"`max_length={longest}`",
        )
    return EncodingOptions(
        max_length=options.max_length or min(DEFAULT_MAX_LENGTH, longest),
        batch_size=options.batch_size,
        dtype=resolve_dtype(options.dtype),
        device=resolve_device(options.device),
    )
