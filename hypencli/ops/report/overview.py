"""Leaderboards, search costs, curves and lineage of the runs that a filter keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock

from hypencli._version import __version__
from hypencli.ops.evaluation.leaderboard import leaderboards
from hypencli.ops.report.costs import costs_of
from hypencli.ops.report.curves import curves_of
from hypencli.ops.report.lineage import lineage_of
from hypencli.private_paths import PathShortener
from hypencli.progress import SILENT
from hypencli.reporting.contents import (
    HtmlReport,
    Leaderboard,
    Limits,
    ModelCurves,
    SearchCost,
    SearchCosts,
)
from hypencli.reporting.text import left_out
from hypestore import Store


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are shown. An empty field keeps all.

    Attributes:
        qrels: Corpus and judgements of a leaderboard, as :func:`board_key` gives them.
        engine: Name of the engine.
        model: Name or id of the model.
        text: Part of the name of the run, its model or its engine, in upper or lower case.
    """

    qrels: str = ""
    engine: str = ""
    model: str = ""
    text: str = ""

    def keeps(self, label: str, engine: str | None, model: str | None) -> bool:
        """Return whether a run is shown."""
        words = f"{label} {engine} {model}".casefold()
        return (
            self.engine in ("", engine)
            and self.model in ("", model)
            and self.text.casefold() in words
        )


@dataclass(frozen=True, slots=True)
class RunChoices:
    """Values that the fields of a filter may have: those of the evaluated and the timed runs."""

    qrels: tuple[str, ...]
    engines: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Everything:
    """What does not depend on the filter."""

    boards: tuple[Leaderboard, ...]
    costs: tuple[SearchCosts, ...]
    remarks: tuple[str, ...]
    curves: tuple[ModelCurves, ...]
    more_models: int


def board_key(board: Leaderboard) -> str:
    """Return corpus and judgements of a leaderboard in words, which no other leaderboard has."""
    return f"{board.corpus} · {board.qrels}"


class Overviews:
    """Overviews of a store. What the store has is read again only when an artifact was added.

    Args:
        store: The project store.
        limits: Limits of what is shown.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._lock = Lock()
        self._state: object = None
        self._everything = _Everything((), (), (), (), 0)

    def boards(self) -> tuple[Leaderboard, ...]:
        """Return all leaderboards with all their runs."""
        return self._read().boards

    def choices(self) -> RunChoices:
        """Return the values that a filter may have."""
        read = self._read()
        entries = [entry for board in read.boards for entry in board.entries]
        searches = [search for costs in read.costs for search in costs.searches]
        made_by = [(one.engine, one.model) for one in entries]
        made_by += [(one.engine, one.model) for one in searches]
        return RunChoices(
            qrels=tuple(board_key(board) for board in read.boards),
            engines=_distinct(engine for engine, _ in made_by),
            models=_distinct(model for _, model in made_by),
        )

    def filtered(self, wanted: RunFilter) -> HtmlReport:
        """Gather what is shown of the runs that a filter keeps."""
        read, limits = self._read(), self._limits
        shortener = PathShortener()
        boards = [
            kept
            for board in read.boards
            if wanted.qrels in ("", board_key(board))
            and (kept := _filtered_board(board, wanted, limits)).entries
        ]
        all_costs = [_filtered_costs(one, wanted) for one in read.costs]
        costs = [one for one in all_costs if one.searches]
        # The drawing of a lineage is for a few runs; the report of the command has them all.
        lineage, more_runs = lineage_of(
            self._store,
            boards,
            () if wanted.qrels else costs,
            runs=limits.runs,
            recipe_characters=limits.recipe_characters,
            shortener=shortener,
        )
        remarks = {
            "costs": read.remarks,
            "curves": left_out(read.more_models, "trained models", "hype show MODEL"),
            "lineage": left_out(more_runs, "runs", "hype show RUN"),
        }
        return HtmlReport(
            store=self._store.root.name,
            made=datetime.now(UTC),
            version=__version__,
            counts=Counter(manifest.kind for manifest in self._store.artifacts()),
            leaderboards=tuple(boards),
            costs=() if wanted.qrels else tuple(costs),
            curves=tuple(
                one for one in read.curves if not one.unfinished and wanted.model in ("", one.label)
            ),
            lineage=lineage,
            remarks={key: tuple(map(shortener.text, some)) for key, some in remarks.items()},
        )

    def _read(self) -> _Everything:
        state = tuple((one.id, one.order) for one in self._store.artifacts())
        with self._lock:
            if state != self._state:
                boards = tuple(leaderboards(self._store))
                costs, remarks = costs_of(self._store, self._limits, depth=None, progress=SILENT)
                curves, more = curves_of(
                    self._store, boards, models=self._limits.models, points=self._limits.points
                )
                self._everything = _Everything(boards, costs, remarks, curves, more)
                self._state = state
            return self._everything


def _distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _filtered_board(board: Leaderboard, wanted: RunFilter, limits: Limits) -> Leaderboard:
    kept = [one for one in board.entries if wanted.keeps(one.label, one.engine, one.model)]
    return replace(board, entries=tuple(kept[: limits.entries]))


def _filtered_costs(costs: SearchCosts, wanted: RunFilter) -> SearchCosts:
    def keeps(search: SearchCost) -> bool:
        return wanted.keeps(search.label, search.engine, search.model)

    return replace(costs, searches=tuple(filter(keeps, costs.searches)))
