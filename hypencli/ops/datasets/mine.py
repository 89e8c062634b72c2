"""``hype mine``: mines hard negatives for training rows from a run of the store."""

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
from hypencli.ops.recorded_places import recorded_qrels
from hypencli.progress import SILENT, Progress
from hypencli.records import Qrels
from hypestore import Store, StoredRun


@dataclass(frozen=True, slots=True)
class MineOptions:
    """Options of negative mining.

    Attributes:
        output: File to write: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
        rule: Rule of the negatives.
        qrels: Judgements. None selects those recorded with the run's queries.
        min_grade: Lowest grade of a positive. A document with grade 1 or more is never a negative.
        corpus: Corpus with the texts. None reads them from the run's embedding set.
        overwrite: Replace an existing file.
    """

    output: Path
    rule: MiningRule = field(default_factory=MiningRule)
    qrels: str | None = None
    min_grade: int = 1
    corpus: Corpus | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Mined:
    """Result of negative mining.

    Attributes:
        output: The file.
        run: Name or id of the run.
        qrels: Id of the judgements, if there are any.
        from_rows: Whether negatives were added to existing rows. Otherwise rows were made from
            judgements.
        wanted: Requested negatives per row.
        counts: Counts of queries, rows and negatives.
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
    """Mine hard negatives from a run, for judged queries or for existing rows.

    A row made from judgements has one positive, then its negatives by rank. A query with several
    positives becomes several rows, so that every rule of positives fits. Existing rows keep their
    items, and negatives are appended.

    Args:
        store: The project store.
        run: Id, unique prefix, or name of the run.
        options: How to mine.
        rows: Rows to add negatives to. None makes rows from judgements.
        progress: Where to report.

    Raises:
        UsageError: There are no judgements or no texts, somebody else recorded where the
            judgements are, or the output exists.
        DataError: The queries of the rows are not those of the run, a ranked document has no text,
            or no row is left.
    """
    refuse_existing(options.output, overwrite=options.overwrite)
    stored = store.run(run)
    source = _judgements(stored, options, required=rows is None)
    judged = None if source is None else read_qrels(source)
    qrels: Qrels = {} if judged is None else judged.qrels
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
        qrels=None if judged is None else judged.id,
        from_rows=rows is not None,
        wanted=options.rule.negatives,
        counts=miner.result(),
    )


def _judgements(run: StoredRun, options: MineOptions, *, required: bool) -> str | None:
    """The judgements in the options, else those recorded with the run's queries."""
    named = options.qrels or recorded_qrels(run.manifest)
    if named is None and required:
        raise UsageError(
            f"No judgements: the queries of run {display_name(run.manifest)} have none.",
            hint="Add `qrels=FILE_OR_DATASET`, or name existing training rows: `rows=FILE`",
        )
    return named
