"""``hype mine``: hard negatives for training rows, from a run of the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hypencli.data.corpus import Corpus
from hypencli.data.qrels import read_qrels
from hypencli.data.training import TrainingSource, write_training_rows
from hypencli.data.training.negatives import MiningRule
from hypencli.data.training.writing import refuse_existing
from hypencli.errors import UsageError
from hypencli.ops.datasets.miner import Miner, MiningCounts, texts_of_run
from hypencli.ops.models import display_name
from hypencli.progress import SILENT, Progress
from hypencli.records import Qrels
from hypestore import Store, StoredRun


@dataclass(frozen=True, slots=True)
class MineOptions:
    """What is mined.

    Attributes:
        output: The file: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
        rule: Which documents become negatives.
        qrels: Judgements; None takes those that came with the run's queries.
        min_grade: The lowest grade of a positive. No document of grade 1 or more is a negative.
        corpus: Where texts are read; None takes the run's embedding set.
        overwrite: Replace a file that is there.
    """

    output: Path
    rule: MiningRule = field(default_factory=MiningRule)
    qrels: str | None = None
    min_grade: int = 1
    corpus: Corpus | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Mined:
    """What was mined.

    Attributes:
        output: The file.
        run: The run's name or id.
        qrels: The judgements, where there were any.
        from_rows: Whether rows that were there got negatives; else judged queries became rows.
        wanted: Negatives that each row was to get.
        counts: How many there were of each kind.
    """

    output: Path
    run: str
    qrels: str | None
    from_rows: bool
    wanted: int
    counts: MiningCounts


def mine(
    store: Store,
    run: str,
    options: MineOptions,
    *,
    rows: TrainingSource | None = None,
    progress: Progress = SILENT,
) -> Mined:
    """Mine hard negatives from a run, for judged queries or for rows that are there.

    From judgements, a row holds one positive, first, and then its negatives by rank: a query with
    several positives has several rows, so that every rule of positives reads them right. Rows that
    are there keep their items and get negatives behind them.

    Args:
        store: The project store.
        run: Id, unique prefix, or name of the run.
        options: What is mined, and where to.
        rows: Rows that get negatives; None makes rows from judgements.
        progress: Listens.

    Raises:
        UsageError: No judgements or no texts are known, or the output exists.
        DataError: The rows are of other queries than the run, the texts of other documents, or no
            row is left.
    """
    refuse_existing(options.output, overwrite=options.overwrite)
    stored = store.run(run)
    source = _judgements(stored, options, required=rows is None)
    qrels, qrels_id = _read(source)
    miner = Miner(
        stored, texts_of_run(store, stored, options.corpus), qrels, options.rule, options.min_grade
    )
    total, unit = (miner.n_queries, "queries") if rows is None else (None, "rows")
    with progress.task("mine", total=total, unit=unit) as task:
        rows_out = miner.from_judgements(task) if rows is None else miner.from_rows(rows, task)
        write_training_rows(options.output, rows_out)
    return Mined(
        output=options.output,
        run=display_name(stored.manifest),
        qrels=qrels_id,
        from_rows=rows is not None,
        wanted=options.rule.negatives,
        counts=miner.result(),
    )


def _read(source: str | None) -> tuple[Qrels, str | None]:
    if source is None:
        return {}, None
    judgements = read_qrels(source)
    return judgements.qrels, judgements.id


def _judgements(run: StoredRun, options: MineOptions, *, required: bool) -> str | None:
    """The judgements named, else those that came with the run's queries."""
    named = options.qrels or run.manifest.stats.get("qrels")
    if named is None and required:
        raise UsageError(
            f"Which judgements? The queries of run {display_name(run.manifest)} brought none.",
            hint="Name them: `qrels=FILE_OR_DATASET`; or give negatives to existing training rows: "
            "`rows=FILE`",
        )
    return None if named is None else str(named)
