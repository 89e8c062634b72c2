"""References to artifacts and models: by name, or by the record that created them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hypencli.api.arguments import make_options
from hypencli.errors import UsageError
from hypencli.tabular import NotebookRecord

if TYPE_CHECKING:
    from hypencli.ops.models import ModelSource

ModelLike: TypeAlias = str | Path | NotebookRecord | None
"""A model: its name or id in the store, a folder, a name on the hub, or the result of ``train``."""

_FIELDS = {"model": "model_id", "embeddings": "embeddings", "graph": "graph", "run": "run"}
"""Kind of an artifact -> field with its id in the record that created it."""
_LOADING = ("backbone", "pooling", "trust_code")
_MAKERS = {"model": "train", "embeddings": "encode", "graph": "graph", "run": "search"}
_WORDS = {"model": "A model", "embeddings": "An embedding set", "graph": "A graph", "run": "A run"}


def name_of(reference: object, kind: str) -> str:
    """Return the name or id of an artifact.

    Args:
        reference: A name, an id, the record that created the artifact, or a row of a listing.
        kind: ``model``, ``embeddings``, ``graph`` or ``run``.

    Raises:
        UsageError: The reference is something else, or refers to an artifact of another kind.
    """
    from hypencli.ops.project import Listed

    if isinstance(reference, str):
        return str(reference)
    if isinstance(reference, Listed) and reference.kind == kind:
        return reference.id
    made = getattr(reference, _FIELDS[kind], None)
    if isinstance(made, str) and not isinstance(reference, Listed):
        return made
    raise UsageError(
        f"{_WORDS[kind]} was expected, not {reference!r:.80}.",
        hint=f"Its name or id, or what {_MAKERS[kind]} returned.",
    )


def take_model(model: ModelLike, options: dict[str, Any]) -> ModelSource:
    """Convert a reference to the model source that operations take.

    Args:
        model: The model; None selects the default of the store, else its newest model.
        options: Options of a method. Those for loading a model are removed.

    Raises:
        UsageError: The reference is not a model.
    """
    from hypencli.ops.models import ModelSource

    named = str(model) if isinstance(model, Path) else model
    how = {name: options.pop(name) for name in _LOADING if name in options}
    name = None if named is None else name_of(named, "model")
    return make_options(ModelSource, {"name": name, **how}, "load")
