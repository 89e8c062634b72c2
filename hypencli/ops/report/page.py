"""HTML report of a store: gathers the contents that ``hypencli.reporting`` renders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hypencli._version import __version__
from hypencli.data.atomic import atomic_write, refuse_overwrite
from hypencli.errors import UsageError
from hypencli.ops.evaluation.leaderboard import leaderboards
from hypencli.ops.report.costs import costs_of
from hypencli.ops.report.curves import curves_of
from hypencli.ops.report.judgements import JudgementFinder, named_judgements
from hypencli.ops.report.lineage import lineage_of
from hypencli.ops.report.pairs import best_pairs, named_pair, pair_of
from hypencli.private_paths import PathShortener
from hypencli.progress import SILENT, Progress
from hypencli.reporting.contents import HtmlReport, Leaderboard, Limits, RunPair
from hypencli.reporting.page import render_page
from hypencli.reporting.text import left_out
from hypestore import Store


@dataclass(frozen=True, slots=True)
class HtmlOptions:
    """Options of an HTML report.

    Attributes:
        output: File to write.
        runs: Two runs to compare query by query, ``(A, B)``. None selects the best two of each
            leaderboard.
        qrels: Judgements to compare on: their name in the leaderboard, their id, or a value of
            ``hype eval --qrels``.
        measures: Measures to show. The first one sorts the runs. Empty shows all.
        depth: Depth of recall of search costs. None selects a depth that the runs have.
        overwrite: Replace an existing file.
        keep_paths: Keep absolute paths, which name users and folders. Otherwise each is shortened
            to its last part.
        limits: Limits of the report.
    """

    output: Path
    runs: tuple[str, str] | None = None
    qrels: str | None = None
    measures: tuple[str, ...] = ()
    depth: int | None = None
    overwrite: bool = False
    keep_paths: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class HtmlWritten:
    """An HTML report that was written.

    Attributes:
        path: The file.
        size_bytes: Its size in bytes.
        leaderboards: Number of leaderboards.
        runs: Number of evaluated runs.
        pairs: Names of the runs that are compared query by query.
        searches: Number of searches with costs.
        models: Number of models with training curves.
        remarks: What was left out or is missing.
        shortened: Number of absolute paths that were shortened.
    """

    path: Path
    size_bytes: int
    leaderboards: int
    runs: int
    pairs: tuple[tuple[str, str], ...]
    searches: int
    models: int
    remarks: tuple[str, ...]
    shortened: int


def write_html_report(
    store: Store, options: HtmlOptions, progress: Progress = SILENT
) -> HtmlWritten:
    """Write an HTML report of a store, completely or not at all.

    Raises:
        UsageError: The file exists and ``overwrite`` is not set, the two runs were not evaluated
            with the same judgements, or no run was evaluated with the judgements named.
        DataError: The file cannot be written, or the judgements named cannot be read.
    """
    refuse_overwrite(options.output, overwrite=options.overwrite)
    shortener = PathShortener(keep=options.keep_paths)
    report = gather_report(store, options, progress, shortener)
    page = render_page(report).encode("utf-8")
    with atomic_write(options.output) as temporary:
        temporary.write_bytes(page)
    return HtmlWritten(
        path=options.output,
        size_bytes=len(page),
        leaderboards=len(report.leaderboards),
        runs=len({entry.run for board in report.leaderboards for entry in board.entries}),
        pairs=tuple((pair.label_a, pair.label_b) for pair in report.pairs),
        searches=sum(len(costs.searches) for costs in report.costs),
        models=len(report.curves),
        remarks=_all_remarks(report),
        shortened=len(shortener.shortened),
    )


def _all_remarks(report: HtmlReport) -> tuple[str, ...]:
    remarks = [remark for section in report.remarks.values() for remark in section]
    remarks += [remark for pair in report.pairs for remark in pair.remarks]
    return tuple(dict.fromkeys(remarks))


def gather_report(
    store: Store,
    options: HtmlOptions,
    progress: Progress = SILENT,
    shortener: PathShortener | None = None,
) -> HtmlReport:
    """Gather the contents of an HTML report.

    Raises:
        UsageError: The two runs were not evaluated with the same judgements, or no run was
            evaluated with the judgements named.
        DataError: The judgements named cannot be read.
    """
    limits, shortener = options.limits, shortener or PathShortener(keep=options.keep_paths)
    all_boards = leaderboards(store, measures=options.measures)
    boards = [
        replace(board, entries=board.entries[: limits.entries])
        for board in all_boards[: limits.leaderboards]
    ]
    remarks = {"leaderboards": _board_remarks(store, all_boards, limits)}
    pairs, remarks["pairs"] = _pairs(store, all_boards, options, progress)
    costs, remarks["costs"] = costs_of(store, limits, depth=options.depth, progress=progress)
    curves, more_models = curves_of(store, boards, models=limits.models, points=limits.points)
    remarks["curves"] = left_out(more_models, "trained models", "hype show MODEL")
    lineage, more_runs = lineage_of(
        store,
        boards,
        costs,
        runs=limits.runs,
        recipe_characters=limits.recipe_characters,
        shortener=shortener,
    )
    remarks["lineage"] = left_out(more_runs, "runs", "hype show RUN")
    return HtmlReport(
        store=store.root.name,
        made=datetime.now(UTC),
        version=__version__,
        counts=Counter(manifest.kind for manifest in store.artifacts()),
        leaderboards=tuple(boards),
        pairs=pairs,
        costs=costs,
        curves=curves,
        lineage=lineage,
        remarks={section: tuple(map(shortener.text, some)) for section, some in remarks.items()},
    )


def _board_remarks(store: Store, boards: Sequence[Leaderboard], limits: Limits) -> tuple[str, ...]:
    remarks = [*left_out(len(boards) - limits.leaderboards, "leaderboards", "hype report")]
    for board in boards[: limits.leaderboards]:
        remarks += left_out(
            len(board.entries) - limits.entries,
            f"runs of {board.corpus} · {board.qrels}, the last by {board.measures[0]},",
            "hype report",
        )
    evaluated = {entry.run for board in boards for entry in board.entries}
    if lacking := sum(run.id not in evaluated for run in store.artifacts("run")):
        remarks.append(
            f"Runs without an evaluation: {lacking:,}. Next: hype eval RUN --qrels QRELS"
        )
    return tuple(remarks)


def _pairs(
    store: Store, boards: Sequence[Leaderboard], options: HtmlOptions, progress: Progress
) -> tuple[tuple[RunPair, ...], tuple[str, ...]]:
    """The pair in the options, or the best pairs of the leaderboards; and remarks."""
    qrels, named = (None, None) if options.qrels is None else named_judgements(store, options.qrels)
    finder, limits = JudgementFinder(store, [] if named is None else [named]), options.limits
    if options.runs is not None:
        plan = named_pair(store, options.runs, boards, qrels=qrels, measures=options.measures)
        return (pair_of(store, plan, finder, limits),), ()
    plans = [plan for plan in best_pairs(boards) if qrels in (None, plan.qrels)]
    run_pairs, remarks = [], []
    with progress.task("pairs", total=min(len(plans), limits.pairs), unit="pairs") as task:
        for plan in plans[: limits.pairs]:
            try:
                run_pairs.append(pair_of(store, plan, finder, limits))
            except UsageError as error:  # the two have no measure in common
                remarks.append(str(error))
            task.advance()
    if not plans and boards:
        remarks.append(f"No two runs were evaluated with {qrels or 'the same judgements'}.")
    remarks += left_out(len(plans) - limits.pairs, "pairs", "hype report RUN_A RUN_B --html FILE")
    return tuple(run_pairs), tuple(remarks)
