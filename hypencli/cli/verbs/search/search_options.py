"""Options of searches: the engine, its options, two stages, how scores are computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.errors import UsageError

if TYPE_CHECKING:
    from hypencli.ops.search.options import EngineSpec

_HOW = "How to search"
_STAGES = "Two stages"

ApproxOption = Annotated[
    bool,
    typer.Option(
        "--approx",
        help="Approximate search that follows the gradient of the q-nets; short for "
        "--engine guided.",
        rich_help_panel=_HOW,
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="The engine. For q-nets: exact, guided, graph. For bi-encoders: exact and vector "
        "indexes (hnsw, faiss-flat, …). Without a model: bm25. `hype engines` lists all with their "
        "options.",
        show_default="exact",
        rich_help_panel=_HOW,
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="NAME=VALUE",
        help="An option of the engine, such as -o ef_search=256. Repeat it for more.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option(
        "--recall",
        help="The recall to reach: with a calibration (`hype calibrate`), on average over queries; "
        "without one, --approx, which it implies, goes on until a bound on the recall of each "
        "query is as high.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(
        "--budget",
        min=1,
        help="The most q-net evaluations for each query; short for -o budget=N.",
        show_default="set by the engine's stopping rule",
        rich_help_panel=_HOW,
    ),
]
CheckOption = Annotated[
    int | None,
    typer.Option(
        "--check",
        min=1,
        help="Search this many queries in float32 throughout too, and print the recall against "
        "that.",
        show_default="compare an approximate run with an exact one of the store, if it has one",
        rich_help_panel=_HOW,
    ),
]
AgainOption = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Search again what the store has a run of, such as with -o scan=float32, and compare "
        "the rankings. Nothing is stored.",
        rich_help_panel=_HOW,
    ),
]
RerankOption = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        help="Score only the results of this run: BM25, a bi-encoder, any run of the corpus.",
        show_default=False,
        rich_help_panel=_STAGES,
    ),
]
RerankListsOption = Annotated[
    Path | None,
    typer.Option(
        "--rerank-lists",
        help="Score only the results in this file (TREC, or JSONL in the published format), which "
        "becomes a run of the store.",
        show_default=False,
        rich_help_panel=_STAGES,
    ),
]
FirstOption = Annotated[
    str | None,
    typer.Option(
        "--first",
        help="Search with this model first, or with bm25, and rerank its results with --model.",
        show_default=False,
        rich_help_panel=_STAGES,
    ),
]
FirstKOption = Annotated[
    int,
    typer.Option("--first-k", min=1, help="Documents of the first stage.", rich_help_panel=_STAGES),
]
FirstEngineOption = Annotated[
    str,
    typer.Option(
        "--first-engine",
        help="Engine of the first stage; -o sets its options.",
        rich_help_panel=_STAGES,
    ),
]
WidthOption = Annotated[
    int | None,
    typer.Option(
        "--width",
        min=1,
        help="Hidden width of the q-nets, for a model with nested widths. Narrower is faster.",
        show_default="the full width",
    ),
]
ScoreDtypeOption = Annotated[
    str, typer.Option("--dtype", help="Arithmetic of the scores: float32 or bfloat16.")
]


def engine_spec(
    *,
    approx: bool = False,
    engine: str | None = None,
    settings: list[str] | None = None,
    budget: int | None = None,
    recall: float | None = None,
    rerank: str | None = None,
) -> EngineSpec:
    """The engine that the options select, with the options of the engine.

    A recall alone selects the engine of ``--approx``.

    Raises:
        UsageError: The options select several engines, an option is not of the form NAME=VALUE, or
            an option is set twice.
    """
    from hypencli.ops.search.options import EngineSpec

    wants_recall = recall is not None and engine is None and rerank is None
    name = _engine_name(approx=approx or wants_recall, engine=engine, rerank=rerank)
    options: dict[str, object] = dict(named_values(settings))
    for option, value in (("budget", budget), ("run", rerank)):
        if value is None:
            continue
        if option in options:
            raise UsageError(f"The option {option} is set twice.")
        options[option] = value
    return EngineSpec(name, options, recall)


def _engine_name(*, approx: bool, engine: str | None, rerank: str | None) -> str:
    named = [
        option
        for option, is_set in (
            ("--approx", approx),
            (f"--engine {engine}", engine is not None),
            ("--rerank", rerank is not None),
        )
        if is_set
    ]
    refines = rerank is None and engine != "exact"  # --approx beside an approximate engine
    if len(named) > 1 and not (approx and refines):
        raise UsageError(f"{' and '.join(named)} exclude each other.", hint="Choose one of them.")
    if rerank is not None:
        return "rerank"
    return engine or ("guided" if approx else "exact")


def named_values(
    settings: list[str] | None,
    *,
    option: str = "-o",
    example: str = "ef_search=256",
    listed_by: str = "`hype engines`",
) -> dict[str, str]:
    """Parse ``NAME=VALUE`` texts to values by name; ``-`` in a name becomes ``_``.

    Raises:
        UsageError: A text has another form, or a name is set twice.
    """
    values: dict[str, str] = {}
    for text in settings or []:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name or not value:
            raise UsageError(
                f"{option} {text} is not of the form NAME=VALUE.",
                hint=f"Example: {option} {example}; {listed_by} lists the options.",
            )
        if name in values:
            raise UsageError(f"The option {name} is set twice.")
        values[name] = value
    return values
