"""Options of a search by keyword: those of all searches, and those of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hypencli.api.arguments import make_options, name_list, option_names
from hypencli.api.references import name_of
from hypencli.errors import UsageError
from hypencli.ops.dataset_names import dataset_place

if TYPE_CHECKING:
    from hypencli.ops.search.options import SearchOptions
    from hypestore import Store

PartT = TypeVar("PartT")

_REFERENCES = {"embeddings": "embeddings", "graph": "graph", "run": "run"}
"""Option that names an artifact -> kind of the artifact."""


def search_options(store: Store, engine: str | None, options: Mapping[str, Any]) -> SearchOptions:
    """Build the options that the search operation takes.

    Args:
        store: The project store.
        engine: Name of an engine; None selects ``rerank`` or ``guided`` if the option ``rerank`` or
            ``recall`` is set, else ``exact``.
        options: Options by name. Those that are not options of all searches are passed to the
            engine.

    Raises:
        UsageError: A value is wrong, or ``rerank`` is combined with another engine.
    """
    from hypencli.ops.search.options import EngineSpec, Output, Scoring, SearchOptions, Target

    plain = {name: value for name, value in options.items() if name != "rerank"}
    how = _engine_name(engine, options)
    if options.get("rerank") is not None:
        plain["run"] = options["rerank"]
    for name, kind in _REFERENCES.items():
        if plain.get(name) is not None:
            plain[name] = name_of(plain[name], kind)
    if plain.get("measures") is not None:
        plain["measures"] = name_list(plain["measures"], "measures")
    if isinstance(plain.get("corpus"), str):
        plain["corpus"] = dataset_place(store.root, plain["corpus"])
    parts: dict[str, Any] = {
        "target": _part(Target, plain),
        "scoring": _part(Scoring, plain),
        "output": _part(Output, plain),
    }
    for name in ("k", "exclude_same_id"):
        if name in plain:
            parts[name] = plain.pop(name)
    spec = make_options(EngineSpec, {"name": how, "recall": plain.pop("recall", None)}, "search")
    parts["engine"] = EngineSpec(spec.name, plain, spec.recall)
    return make_options(SearchOptions, parts, "search")


def _engine_name(engine: object, options: Mapping[str, Any]) -> str:
    rerank = options.get("rerank")
    if engine is None:
        by_recall = "exact" if options.get("recall") is None else "guided"
        return by_recall if rerank is None else "rerank"
    if not isinstance(engine, str):
        raise UsageError(f"engine: a name was expected, not {engine!r:.80}.")
    if rerank is not None and engine != "rerank":
        raise UsageError(f"rerank is an engine of its own; it excludes the engine {engine}.")
    return engine


def _part(kind: type[PartT], options: dict[str, Any]) -> PartT:
    """Remove the options of one part from the others, and build the part."""
    own = {name: options.pop(name) for name in option_names(kind) if name in options}
    return make_options(kind, own, "search")
