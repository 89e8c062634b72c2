"""FollowIR's training set: MS MARCO with instructions, from the Hugging Face hub.

Source: ``samaya-ai/msmarco-w-instructions`` (Weller et al., Promptriever, 2024). The conversion is
that of the reproduction (arneeichholtz/Hypencoder-reprod, ``scripts/data_hard_tasks.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.prepare.download import downloading
from hypencli.data.prepare.job import DEFAULT_SEED, Job, PreparedParts, RowCounts
from hypencli.data.prepare.malformed_records import EMPTY_TEXT
from hypencli.data.prepare.records import Record, records_of
from hypencli.data.reading.unique_ids import hash_id
from hypencli.data.training import write_training_rows
from hypencli.data.training.folder import locate_in_folder
from hypencli.data.training.hub import files_on_hub
from hypencli.data.training.splits import select_files
from hypencli.records import Query, TrainingItem, TrainingRow

SOURCE = "samaya-ai/msmarco-w-instructions"
SPLIT = "train"
NEGATIVES = 5
"""Maximum of negatives in a row."""


@dataclass(frozen=True, slots=True)
class InstructionRule:
    """Which rows are used, and which negatives they get.

    Attributes:
        negatives: How many negatives a row gets, if the source has as many.
        seed: Seed of the choice among ``negative_passages``; the choice depends on the query id
            and not on the order of queries.
        all_queries: Also use rows without an instruction.
    """

    negatives: int = NEGATIVES
    seed: int = DEFAULT_SEED
    all_queries: bool = False


def prepare_followir_train(job: Job) -> PreparedParts:
    """Write ``train.jsonl`` from the released rows; see :func:`instruction_rows`.

    Raises:
        DataError: The source is missing or malformed.
    """
    files = (
        _hub_files()
        if job.source_folder is None
        else locate_in_folder(job.source_folder, SPLIT).files
    )
    sources = (f"hub:{SOURCE}",) if job.source_folder is None else tuple(map(job.source, files))
    counts = RowCounts(job.malformed)
    rule = InstructionRule(seed=job.seed, all_queries=job.all_queries)
    records = job.counted(record for file in files for record in records_of(file))
    rows = instruction_rows(records, rule, counts)
    write_training_rows(job.out / f"{SPLIT}.jsonl", rows)
    return PreparedParts((counts.part(SPLIT),), sources)


def _hub_files() -> tuple[Path, ...]:
    def choose(names: Sequence[str], where: str) -> Sequence[str]:
        return select_files(names, SPLIT, where=where).names

    with downloading():
        folder, names = files_on_hub(SOURCE, choose)
    return tuple(folder / name for name in names)


def instruction_rows(
    records: Iterable[Record], rule: InstructionRule, counts: RowCounts
) -> Iterator[TrainingRow]:
    """Yield rows: positives, then ``new_negatives``, then some of ``negative_passages``.

    ``new_negatives`` answer the query but violate the instruction. The released text of a query
    already holds the instruction. Titles are ignored.

    Deviation: the published conversion draws without a seed, and keeps a negative with the text of
    a positive or of another negative of its row. This function leaves those out.

    Args:
        records: The released rows.
        rule: Which rows are used.
        counts: Receives every row. Passages and queries without a text are left out.

    Raises:
        DataError: A record lacks a field, or has one of another type.
    """
    for record in records:
        if not (record.flag("has_instruction") or rule.all_queries):
            counts.left_out["rows_without_instruction"] += 1
            continue
        query = Query(record.identifier("query_id"), record.text("query"))
        if not query.text.strip():
            counts.malformed.meet(EMPTY_TEXT, record.where, "the query has no text")
            continue
        row = _row(record, query, rule, _Passages(query, counts))
        if row is None:
            counts.left_out["rows_without_positive"] += 1
            continue
        negatives = sum(item.type == "negative" for item in row.items)
        counts.notes["rows_of_fewer_negatives"] += negatives < rule.negatives
        counts.add(row)
        yield row


def _row(
    record: Record, query: Query, rule: InstructionRule, passages: _Passages
) -> TrainingRow | None:
    import numpy as np

    positives = passages.of(record, "positive_passages", "positive")
    if not positives:
        return None
    negatives = passages.of(record, "new_negatives", "negative")
    others = passages.of(record, "negative_passages", "negative")
    generator = np.random.default_rng([rule.seed, hash_id(query.query_id)])
    order = generator.permutation(len(others))[: max(0, rule.negatives - len(negatives))]
    negatives += [others[int(i)] for i in order]
    return TrainingRow(query, (*positives, *negatives))


class _Passages:
    """Collects the passages of one row with distinct texts."""

    def __init__(self, query: Query, counts: RowCounts) -> None:
        self._query = query
        self._counts = counts
        self._seen: set[str] = set()

    def of(self, record: Record, key: str, type_: str) -> list[TrainingItem]:
        """Return the passages of a list with new texts."""
        passages = []
        for i, passage in enumerate(record.records(key)):
            text = passage.text("text")
            if not text.strip():
                self._counts.malformed.meet(EMPTY_TEXT, passage.where, "the passage has no text")
            elif text in self._seen:
                self._counts.left_out["repeated_passages"] += 1
            else:
                self._seen.add(text)
                passages.append(TrainingItem(self._id(passage, f"{key}-{i}"), text, type=type_))
        return passages

    def _id(self, passage: Record, place: str) -> str:
        """Return the id of a passage; a generated passage without an id gets one here."""
        if passage.values.get("docid") in (None, "") and "docid" in passage.values:
            self._counts.notes["passages_given_an_id"] += 1
            return f"{self._query.query_id}-{place}"
        return passage.identifier("docid")
