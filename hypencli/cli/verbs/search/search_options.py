"""Options of searches that say how: the engine, its options, what it is checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.errors import UsageError

if TYPE_CHECKING:
    from hypencli.ops.search.options import EngineSpec

_HOW = "How to search"

ApproxOption = Annotated[
    bool,
    typer.Option(
        "--approx", help="Score only what q-nets lead to: --engine guided.", rich_help_panel=_HOW
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="exact, guided and graph for q-nets; exact and vector indexes (hnsw, faiss-flat …) "
        "for bi-encoders. `hype engines` lists all with their options.",
        show_default="exact",
        rich_help_panel=_HOW,
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="NAME=VALUE",
        help="An option of the engine, such as -o ef_search=256; may be given again.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option(
        "--recall",
        help="The recall to reach, by the calibration of `hype calibrate`.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(
        "--budget",
        min=1,
        help="q-net evaluations a query, of an engine that takes a budget: -o budget=N.",
        show_default="until little is gained",
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


def engine_spec(
    *,
    approx: bool = False,
    engine: str | None = None,
    settings: list[str] | None = None,
    budget: int | None = None,
    recall: float | None = None,
    rerank: str | None = None,
) -> EngineSpec:
    """The engine that the options name together, and its own options.

    Raises:
        UsageError: They name several engines, an option is not of the form NAME=VALUE, or one is
            set twice.
    """
    from hypencli.ops.search.options import EngineSpec

    name = _engine_name(approx=approx, engine=engine, rerank=rerank)
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


def named_values(settings: list[str] | None, *, listed_by: str = "hype engines") -> dict[str, str]:
    """``NAME=VALUE`` options by name.

    Raises:
        UsageError: One is not of that form, or a name is set twice.
    """
    values: dict[str, str] = {}
    for text in settings or []:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name or not value:
            raise UsageError(
                f"-o {text} is not of the form NAME=VALUE.",
                hint=f"Such as -o ef_search=256; `{listed_by}` lists the options.",
            )
        if name in values:
            raise UsageError(f"The option {name} is set twice.")
        values[name] = value
    return values
