"""A store as one page of HTML: gathered here, drawn by ``hypencli.reporting``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hypencli._version import __version__
from hypencli.data.atomic import atomic_write
from hypencli.errors import UsageError
from hypencli.ops.evaluation.leaderboard import leaderboards
from hypencli.ops.report.costs import costs_of
from hypencli.ops.report.curves import curves_of
from hypencli.ops.report.judgements import JudgementFinder, named_judgements
from hypencli.ops.report.lineage import lineage_of
from hypencli.ops.report.pairs import best_pairs, named_pair, pair_of
from hypencli.progress import SILENT, Progress
from hypencli.reporting.contents import HtmlReport, Leaderboard, Limits, RunPair
from hypencli.reporting.page import render_page
from hypencli.reporting.text import left_out
from hypestore import Store


@dataclass(frozen=True, slots=True)
class HtmlOptions:
    """What a page shows, and where it goes.

    Attributes:
        output: The file.
        runs: The two runs to compare query by query, ``(A, B)``; None takes the best two of each
            leaderboard.
        qrels: The judgements to compare on: an id that evaluations have, or what
            ``hype eval --qrels`` takes.
        measures: Which measures to show, the first one sorting; empty shows all.
        depth: Depth of recall of the costs of searches; None takes one that the runs have.
        overwrite: Replace a file that is there.
        limits: How much the page holds at most.
    """

    output: Path
    runs: tuple[str, str] | None = None
    qrels: str | None = None
    measures: tuple[str, ...] = ()
    depth: int | None = None
    overwrite: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class HtmlWritten:
    """A page that was written.

    Attributes:
        runs: Evaluated runs on it.
        pairs: Names of the runs that are compared query by query.
        remarks: What was left out, or is not there.
    """

    path: Path
    size_bytes: int
    leaderboards: int
    runs: int
    pairs: tuple[tuple[str, str], ...]
    searches: int
    models: int
    remarks: tuple[str, ...]


def write_html_report(
    store: Store, options: HtmlOptions, progress: Progress = SILENT
) -> HtmlWritten:
    """Write a page about a store, as a whole or not at all.

    Raises:
        UsageError: The file is there and is not to be replaced; the two runs were not evaluated
            with the same judgements, or no run with those that are named.
        DataError: The file cannot be written, or the judgements that are named cannot be read.
    """
    if options.output.exists() and not options.overwrite:
        raise UsageError(
            f"{options.output} exists.", hint="Choose another --html FILE, or add --overwrite"
        )
    report = gather_report(store, options, progress)
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
    )


def _all_remarks(report: HtmlReport) -> tuple[str, ...]:
    said = [sentence for sentences in report.remarks.values() for sentence in sentences]
    said += [sentence for pair in report.pairs for sentence in pair.remarks]
    return tuple(dict.fromkeys(said))


def gather_report(store: Store, options: HtmlOptions, progress: Progress = SILENT) -> HtmlReport:
    """What a page about a store says.

    Raises:
        UsageError: As for :func:`write_html_report`.
        DataError: The judgements that are named cannot be read.
    """
    limits = options.limits
    all_boards = leaderboards(store, measures=options.measures)
    boards = [_shortened(board, limits) for board in all_boards[: limits.leaderboards]]
    remarks = {"leaderboards": _board_remarks(store, all_boards, limits)}
    pairs, remarks["pairs"] = _pairs(store, all_boards, options, progress)
    costs, remarks["costs"] = costs_of(store, limits, depth=options.depth, progress=progress)
    curves, more_models = curves_of(store, boards, models=limits.models, points=limits.points)
    remarks["curves"] = left_out(more_models, "trained models", "hype show MODEL")
    lineage, more_runs = lineage_of(
        store, boards, costs, runs=limits.runs, recipe_characters=limits.recipe_characters
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
        remarks=remarks,
    )


def _shortened(board: Leaderboard, limits: Limits) -> Leaderboard:
    return replace(board, entries=board.entries[: limits.entries])


def _board_remarks(store: Store, boards: Sequence[Leaderboard], limits: Limits) -> tuple[str, ...]:
    said = [*left_out(len(boards) - limits.leaderboards, "leaderboards", "hype report")]
    for board in boards[: limits.leaderboards]:
        said += left_out(
            len(board.entries) - limits.entries,
            f"runs of {board.corpus} · {board.qrels}, the last by {board.measures[0]},",
            "hype report",
        )
    evaluated = {entry.run for board in boards for entry in board.entries}
    if lacking := sum(run.id not in evaluated for run in store.artifacts("run")):
        said.append(f"Runs without an evaluation: {lacking:,}. Next: hype eval RUN --qrels QRELS")
    return tuple(said)


def _pairs(
    store: Store, boards: Sequence[Leaderboard], options: HtmlOptions, progress: Progress
) -> tuple[tuple[RunPair, ...], tuple[str, ...]]:
    """The pair that the user named, or the best of the leaderboards; what was left out."""
    qrels, named = (None, None) if options.qrels is None else named_judgements(store, options.qrels)
    finder, limits = JudgementFinder(named), options.limits
    if options.runs is not None:
        plan = named_pair(store, options.runs, boards, qrels=qrels, measures=options.measures)
        return (pair_of(store, plan, finder, limits),), ()
    plans = [plan for plan in best_pairs(boards) if qrels in (None, plan.qrels)]
    run_pairs, said = [], []
    with progress.task("pairs", total=min(len(plans), limits.pairs), unit="pairs") as task:
        for plan in plans[: limits.pairs]:
            try:
                run_pairs.append(pair_of(store, plan, finder, limits))
            except UsageError as error:  # judgements of one name that have changed in between
                said.append(str(error))
            task.advance()
    if not plans and boards:
        said.append(f"No two runs were evaluated with {qrels or 'the same judgements'}.")
    said += left_out(len(plans) - limits.pairs, "pairs", "hype report RUN_A RUN_B --html FILE")
    return tuple(run_pairs), tuple(said)
