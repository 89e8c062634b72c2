"""Options of a search as the Python library takes them: those of all searches and of its engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypencli.api.arguments import make_options, name_list
from hypencli.api.references import name_of
from hypencli.errors import UsageError, did_you_mean
from hypencli.ops.dataset_names import dataset_place

if TYPE_CHECKING:
    from hypencli.ops.search.options import SearchOptions
    from hypestore import Store


def search_options(store: Store, engine: str | None, options: Mapping[str, Any]) -> SearchOptions:
    """What the command's code takes of a search.

    Args:
        store: The project store.
        engine: An engine by name; None is ``exact``, or ``rerank`` where that option is set.
        options: Options of all searches, and those of the engine.

    Raises:
        UsageError: There is no such engine or option, or a value is wrong.
    """
    from hypencli.ops.search.options import ENGINES, SearchOptions

    how = engine or ("exact" if options.get("rerank") is None else "rerank")
    if how not in ENGINES:
        raise UsageError(f"There is no engine {how!r}.", hint=did_you_mean(str(how), ENGINES))
    plain = dict(options)
    for kind in ("embeddings", "graph"):
        if plain.get(kind) is not None:
            plain[kind] = name_of(plain[kind], kind)
    if plain.get("rerank") is not None:
        plain["rerank"] = name_of(plain["rerank"], "run")
    if plain.get("measures") is not None:
        plain["measures"] = name_list(plain["measures"], "measures")
    if isinstance(plain.get("corpus"), str):
        plain["corpus"] = dataset_place(store.root, plain["corpus"])
    return make_options(SearchOptions, {**_engine_options(how, plain), "engine": how}, "search")


def _engine_options(engine: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with those of the engine in the record that it takes."""
    from hypencli.engine.graph_walk import PRESETS, WalkOptions
    from hypencli.engine.guided import GuidedOptions
    from hypencli.ops.search.options import VECTOR_INDEXES, SearchOptions

    common = {field.name for field in dataclasses.fields(SearchOptions)}
    own = {name: options.pop(name) for name in list(options) if name not in common}
    if engine == "graph":
        start = PRESETS[own.pop("preset", "efficient-1")]
        changed = make_options(WalkOptions, {**dataclasses.asdict(start), **own}, "search")
        return {**options, "walk": changed}
    if engine == "guided":
        return {**options, "guided_options": make_options(GuidedOptions, own, "search")}
    if engine in VECTOR_INDEXES:
        return {**options, "index": tuple(own.items())}
    return {**options, **own}  # what is no option of this engine is refused with the others
