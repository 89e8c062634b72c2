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


_RECORDS = ("guided_options", "index", "walk")
"""Fields that hold the options of one engine: they are taken by their own names."""


def search_options(
    store: Store, engine: str | None, options: Mapping[str, Any], method: str = "search"
) -> SearchOptions:
    """What the command's code takes of a search.

    Args:
        store: The project store.
        engine: An engine by name; None is ``exact``, or ``rerank`` where that option is set.
        options: Options of all searches, and those of the engine.
        method: The method that they are for, in messages.

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
    records = _engine_records(how, plain, method)
    taken = make_options(SearchOptions, {**plain, "engine": how}, method, hidden=_RECORDS)
    return dataclasses.replace(taken, **records)


def _engine_records(engine: str, options: dict[str, Any], method: str) -> dict[str, Any]:
    """The engine's own options, taken out of the others, in the record that the engine takes."""
    from hypencli.engine.graph_walk import PRESETS, WalkOptions
    from hypencli.engine.guided import GuidedOptions
    from hypencli.ops.search.options import VECTOR_INDEXES, SearchOptions

    common = {field.name for field in dataclasses.fields(SearchOptions)}
    if engine not in ("graph", "guided", *VECTOR_INDEXES):
        return {}
    own = {name: options.pop(name) for name in list(options) if name not in common}
    if engine == "graph":
        preset = own.pop("preset", "efficient-1")
        if preset not in PRESETS:
            raise UsageError(
                f"There is no preset {preset!r}.", hint=did_you_mean(str(preset), PRESETS)
            )
        walk = {**dataclasses.asdict(PRESETS[preset]), **own}
        return {"walk": make_options(WalkOptions, walk, f"The engine {engine}")}
    if engine == "guided":
        return {"guided_options": make_options(GuidedOptions, own, f"The engine {engine}")}
    return {"index": tuple(own.items())}
