"""The three FollowIR collections: queries with two instructions each, and lists to rerank.

Source: Weller et al., FollowIR, 2024, on the Hugging Face hub. The conversion is that of the
reproduction (arneeichholtz/Hypencoder-reprod, ``scripts/data_hard_tasks.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.prepare.collection import (
    CORPUS,
    RankedRecord,
    Text,
    write_judgements,
    write_ranked,
    write_texts,
)
from hypencli.data.prepare.download import downloading
from hypencli.data.prepare.job import Job, Part, PreparedParts
from hypencli.data.prepare.records import Record, records_of
from hypencli.data.reading.judgements import Judgement, iterate_judgements
from hypencli.data.training.folder import data_files_of
from hypencli.data.training.hub import files_on_hub
from hypencli.data.training.splits import select_part
from hypencli.errors import DataError

COLLECTIONS = {
    "robust04": "jhu-clsp/robust04-instructions",
    "core17": "jhu-clsp/core17-instructions",
    "news21": "jhu-clsp/news21-instructions",
}
QUERY_SETS = ("og", "changed")
"""The original instruction, and the changed one, which makes fewer documents relevant."""

TABLES = ("corpus", "queries", "qrels_og", "qrels_changed", "top_ranked")
RANKED = "top_ranked.trec"


@dataclass(frozen=True, slots=True)
class InstructionFiles:
    """The tables of one collection.

    Attributes:
        folder: Folder of the files.
        names: Files of rows, relative to the folder.
    """

    folder: Path
    names: tuple[str, ...]

    def records(self, table: str) -> Iterator[Record]:
        """Read the rows of a table.

        Raises:
            DataError: The table is missing, or a row is no JSON object.
        """
        files = select_part(self.names, table, where=str(self.folder))
        if not files:
            raise self._lacks(table)
        for file in files:
            yield from records_of(self.folder / file)

    def judgements(self, table: str) -> Iterator[Judgement]:
        """Read the judgements of a table, which consists of rows or of a file in a qrels format.

        Raises:
            DataError: The table is missing, or a row is no judgement.
        """
        if select_part(self.names, table, where=str(self.folder)):
            for record in self.records(table):
                query_id, doc_id = record.identifier("query-id"), record.identifier("corpus-id")
                yield Judgement(record.where, query_id, doc_id, record.value("score"))
            return
        paths = [self.folder / f"{table}{ending}" for ending in (".json", ".tsv", "/test.tsv")]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise self._lacks(table)
        yield from iterate_judgements(path)

    def _lacks(self, table: str) -> DataError:
        return DataError(
            f"{self.folder}: no {table} in it.",
            hint=f"Expected {table}.jsonl or {table}.parquet, or a folder {table} with such; "
            f"beside it {', '.join(one for one in TABLES if one != table)}.",
        )


def prepare_followir_test(job: Job) -> PreparedParts:
    """Write a folder for each collection: corpus, two query sets, judgements, ranked lists.

    Raises:
        DataError: A source is missing or malformed.
    """
    parts, sources = [], []
    for name, hub_name in COLLECTIONS.items():
        tables = (
            _hub_tables(hub_name)
            if job.source_folder is None
            else _local_files(job.source_folder, name)
        )
        folder = job.out / name
        folder.mkdir()
        parts.append(write_instruction_collection(name, folder, tables, job))
        sources.append(
            f"hub:{hub_name}" if job.source_folder is None else job.source(tables.folder)
        )
    return PreparedParts(tuple(parts), tuple(sources))


def _hub_tables(hub_name: str) -> InstructionFiles:
    def choose(names: Sequence[str], where: str) -> Sequence[str]:
        return [name for table in TABLES for name in select_part(names, table, where=where)]

    with downloading():
        folder, names = files_on_hub(hub_name, choose)
    return InstructionFiles(folder, names)


def _local_files(root: Path, name: str) -> InstructionFiles:
    """Find the tables in a subfolder such as ``robust04`` or ``robust04-instructions``."""
    folders = [root / name, root / f"{name}-instructions"]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        existing = ", ".join(sorted(one.name for one in root.iterdir())[:12]) or "nothing"
        raise DataError(
            f"{root}: no folder {name} in it; it holds {existing}.",
            hint=f"Expected a folder for each of {', '.join(COLLECTIONS)}, with "
            f"{', '.join(TABLES)}.",
        )
    return InstructionFiles(folder, tuple(data_files_of(folder)))


def write_instruction_collection(
    name: str, folder: Path, tables: InstructionFiles, job: Job
) -> Part:
    """Write one collection: corpus, queries and judgements of both kinds, ranked lists.

    A query is its text and its instruction. A document is its text alone, as in the reproduction.

    Args:
        name: Name of the part.
        folder: Folder to write to.
        tables: The source.
        job: Receives records and malformed records.

    Raises:
        DataError: A record is malformed, or an id is unknown.
    """
    documents = write_texts(
        folder / CORPUS, job.counted(map(_document, tables.records("corpus"))), job.malformed
    )
    queries = list(tables.records("queries"))
    counts = {"documents": len(documents), "queries": len(queries)}
    texts_by_id: dict[str, str] = {}
    for kind in QUERY_SETS:
        texts = [_instructed(record, kind) for record in queries]
        texts_by_id = write_texts(folder / f"queries.{kind}.jsonl", texts, job.malformed)
        qrels = write_judgements(
            folder / f"qrels.{kind}.txt",
            tables.judgements(f"qrels_{kind}"),
            queries=texts_by_id,
            documents=documents,
            malformed=job.malformed,
        )
        counts[f"judgements_{kind}"] = sum(map(len, qrels.values()))
    ranked = write_ranked(
        folder / RANKED,
        job.counted(map(_ranked, tables.records("top_ranked"))),
        queries=texts_by_id,
        documents=documents,
        malformed=job.malformed,
    )
    counts["ranked_documents"] = sum(map(len, ranked.values()))
    return Part(name, counts)


def _document(record: Record) -> Text:
    return Text(record.where, record.identifier("_id"), record.text("text"))


def _instructed(record: Record, kind: str) -> Text:
    """Return a query with one of its instructions.

    If text or instruction is blank, the result has an empty text, which counts as malformed.
    """
    parts = (record.text("text").strip(), record.text(f"instruction_{kind}").strip())
    return Text(record.where, record.identifier("_id"), " ".join(parts) if all(parts) else "")


def _ranked(record: Record) -> RankedRecord:
    return RankedRecord(record.where, record.identifier("qid"), record.identifier("pid"))
