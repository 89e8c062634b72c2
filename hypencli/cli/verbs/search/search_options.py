"""Options of searches that say how: the engine, how much it scores, what it is checked against."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypencli.errors import UsageError

if TYPE_CHECKING:
    from hypencli.engine.graph_walk import WalkOptions
    from hypencli.engine.guided import GuidedOptions
    from hypencli.ops.search.options import EngineName

_HOW = "How to search"
_GRAPH = "Search over a neighbour graph (--engine graph)"

EngineChoice = Literal[
    "exact", "guided", "graph", "hnsw", "faiss-flat", "faiss-hnsw", "faiss-ivfpq"
]

ApproxOption = Annotated[
    bool,
    typer.Option(
        "--approx", help="Score only what q-nets lead to: --engine guided.", rich_help_panel=_HOW
    ),
]
EngineOption = Annotated[
    EngineChoice | None,
    typer.Option(
        "--engine",
        help="exact, guided and graph for q-nets; exact and the vector indexes for bi-encoders.",
        show_default="exact",
        rich_help_panel=_HOW,
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option(
        "--recall",
        help="The recall to reach, by the calibration of `hype calibrate` (guided, graph).",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(
        "--budget",
        min=1,
        help="guided: q-net evaluations a query.",
        show_default="until little is gained",
        rich_help_panel=_HOW,
    ),
]
GainOption = Annotated[
    float | None,
    typer.Option(
        "--gain",
        min=0.0,
        max=1.0,
        help="guided: stop when no more than this share of a batch enters the ranking.",
        show_default="0.2",
        rich_help_panel=_HOW,
    ),
]
CheckOption = Annotated[
    int | None,
    typer.Option(
        "--check",
        min=1,
        help="Also search so many of the queries exactly, and say what was missed.",
        show_default="against an exact run, if there is one",
        rich_help_panel=_HOW,
    ),
]
FirstPassOption = Annotated[
    Literal["auto", "int8", "bfloat16", "float32"],
    typer.Option(
        "--scan",
        help="exact: arithmetic in which all documents are scored before float32 decides; auto "
        "is what this machine is fastest at.",
        rich_help_panel=_HOW,
    ),
]
CertifyOption = Annotated[
    bool,
    typer.Option(
        "--certify/--no-certify",
        help="Score again in float32 until nothing left can reach the best k.",
        rich_help_panel=_HOW,
    ),
]
IndexOption = Annotated[
    list[str] | None,
    typer.Option(
        "--index",
        metavar="NAME=NUMBER",
        help="A parameter of a vector index, such as ef_search=256; may be given again.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
PresetOption = Annotated[
    Literal["efficient-1", "efficient-2"] | None,
    typer.Option(
        "--preset",
        help="The settings of the paper: 10,000 / 64 / 16, or 100,000 / 328 / 20.",
        show_default="efficient-1",
        rich_help_panel=_GRAPH,
    ),
]
GraphOption = Annotated[
    str | None,
    typer.Option(
        "--graph", help="The graph, by name or id.", show_default="found", rich_help_panel=_GRAPH
    ),
]
EntryPointsOption = Annotated[
    int | None,
    typer.Option(
        "--entry-points",
        min=1,
        help="Random documents that the search begins with.",
        show_default="10000",
        rich_help_panel=_GRAPH,
    ),
]
CandidatesOption = Annotated[
    int | None,
    typer.Option(
        "--candidates",
        min=1,
        help="Best documents of a step that are expanded.",
        show_default="64",
        rich_help_panel=_GRAPH,
    ),
]
IterationsOption = Annotated[
    int | None,
    typer.Option(
        "--max-iterations",
        min=1,
        help="Steps at most.",
        show_default="16",
        rich_help_panel=_GRAPH,
    ),
]
NeighboursOption = Annotated[
    int | None,
    typer.Option(
        "--neighbours",
        min=1,
        help="Neighbours of a document that are followed.",
        show_default="all of the graph",
        rich_help_panel=_GRAPH,
    ),
]
EarlyStopOption = Annotated[
    bool | None,
    typer.Option(
        "--early-stop/--no-early-stop",
        help="End with the first step that finds nothing better.",
        show_default="early-stop",
        rich_help_panel=_GRAPH,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="Of the entry points.", show_default="43", rich_help_panel=_GRAPH),
]


def engine_from_options(
    *, approx: bool, engine: EngineChoice | None, rerank: str | None
) -> EngineName:
    """The engine that the options name together.

    Raises:
        UsageError: They name several.
    """
    named = [
        option
        for option, is_set in (
            ("--approx", approx),
            (f"--engine {engine}", engine is not None),
            ("--rerank", rerank is not None),
        )
        if is_set
    ]
    if len(named) > 1 and not (approx and engine in ("guided", "graph") and rerank is None):
        raise UsageError(f"{' and '.join(named)} exclude each other.", hint="Choose one of them.")
    if rerank is not None:
        return "rerank"
    return engine or ("guided" if approx else "exact")


def walk_options(engine: EngineName, preset: str | None, **given: Any) -> WalkOptions | None:
    """How a walk over the graph goes: a preset, and what is given beside it.

    Raises:
        UsageError: Something is given, and the engine is another one.
    """
    changed = {name: value for name, value in given.items() if value is not None}
    if engine != "graph":
        _refuse("graph", engine, [*(["preset"] if preset else []), *changed])
        return None
    from hypencli.engine.graph_walk import PRESETS

    return replace(PRESETS[preset or "efficient-1"], **changed)


def make_guided_options(
    engine: EngineName, *, budget: int | None, gain: float | None, recall: float | None
) -> GuidedOptions | None:
    """How much a guided search scores.

    Raises:
        UsageError: Something is given, and the engine is another one; or several are given, where
            each says how much.
    """
    amounts = {"budget": budget, "gain": gain, "recall": recall}
    set_options = [name for name, value in amounts.items() if value is not None]
    if len(set_options) > 1:
        raise UsageError(
            f"--{set_options[0]} and --{set_options[1]} exclude each other: each says how much "
            "is scored.",
            hint="Choose one of them.",
        )
    if engine != "guided":
        _refuse("guided", engine, [name for name in set_options if name != "recall"])
        return None
    from hypencli.engine.guided import GuidedOptions

    options = replace(GuidedOptions(), budget=budget)
    return options if gain is None else replace(options, gain=gain)


def _refuse(meant: str, engine: str, options: list[str]) -> None:
    if options:
        option = f"--{options[0].replace('_', '-')}"
        raise UsageError(
            f"{option} is for the engine {meant}; this search is {engine}.",
            hint=f"Add --engine {meant}, or leave {option} out.",
        )


def index_parameters(settings: list[str] | None) -> tuple[tuple[str, int], ...]:
    """``NAME=NUMBER`` options as pairs.

    Raises:
        UsageError: One is not of that form.
    """
    pairs = []
    for text in settings or []:
        match = re.fullmatch(r"(\w+)=(\d+)", text)
        if match is None:
            raise UsageError(
                f"--index {text} is not a parameter of an index.",
                hint="Expected NAME=NUMBER, such as --index ef_search=256",
            )
        pairs.append((match[1], int(match[2])))
    return tuple(pairs)
