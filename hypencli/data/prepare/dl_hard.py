"""DL-HARD with only the judgements of TREC, for the queries that NIST judged.

Source: ``msmarco-passage/trec-dl-hard`` of ir_datasets, or the files of grill-lab/DL-Hard on GitHub
(Mackie, Dalton, Yates, SIGIR 2021), and from there the list of judgements that its authors added.
The reproduction removes those judgements in the same way (arneeichholtz/Hypencoder-reprod,
``scripts/load_data_old.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.prepare.collection import QRELS, QUERIES, Text, write_judgements, write_texts
from hypencli.data.prepare.download import RepositoryFile, downloaded, downloading, fetch
from hypencli.data.prepare.job import Job, Part, PreparedParts
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import QuerySet, open_queries
from hypencli.data.reading.irds import IrdsSource
from hypencli.data.reading.judgements import Judgement, iterate_judgements
from hypencli.errors import DataError

DATASET = "msmarco-passage/trec-dl-hard"
CORPUS_ID = "irds:msmarco-passage"
TOPICS, JUDGED = "topics.tsv", "dl_hard-passage.qrels"
ADDED = RepositoryFile(
    repository="grill-lab/DL-Hard",
    commit="2be6435c2b1f8131dfa23f3c0dee72f9dd47d849",
    path="annotations/new_judgements/new_judgements-passage.passage-level.qrels",
    blob="9ee42395d0d1e1b4bd9c51cca1f6e63322875497",
)
"""Judgements that the authors of DL-HARD added; some are of queries outside DL-HARD."""


@dataclass(frozen=True, slots=True)
class HardQueryFiles:
    """The sources of the query set.

    Attributes:
        queries: All queries of DL-HARD.
        judgements: Judgements of TREC and of the authors of DL-HARD.
        added: The file with the judgements of the authors.
        sources: Ids of the sources for the record.
    """

    queries: QuerySet
    judgements: Iterable[Judgement]
    added: Path
    sources: tuple[str, ...]


def prepare_dl_hard(job: Job) -> PreparedParts:
    """Write queries and judgements. The documents are those of MS MARCO and not copied.

    Raises:
        DataError: A source is missing or malformed.
    """
    tables = (
        _online_tables(job) if job.source_folder is None else _local_files(job.source_folder, job)
    )
    added = read_qrels(tables.added).qrels
    judgements = list(job.counted(tables.judgements))
    kept = [one for one in judgements if one.doc_id not in added.get(one.query_id, {})]
    judged = {one.query_id for one in kept}
    queries = [query for query in tables.queries if query.query_id in judged]
    texts = (Text(tables.queries.id, query.query_id, query.text) for query in queries)
    query_ids = write_texts(job.out / QUERIES, texts, job.malformed)
    qrels = write_judgements(
        job.out / QRELS, kept, queries=query_ids, documents=None, malformed=job.malformed
    )
    counts = {"queries": len(query_ids), "judgements": sum(map(len, qrels.values()))}
    left_out = {
        "queries": len(tables.queries) - len(query_ids),
        "judgements": len(judgements) - len(kept),
    }
    return PreparedParts((Part("test", counts, left_out),), tables.sources, corpus=CORPUS_ID)


def _online_tables(job: Job) -> HardQueryFiles:
    added = fetch(ADDED, job.downloads, job.progress)
    with downloading():
        queries = open_queries(f"irds:{DATASET}")
    dataset = IrdsSource(DATASET)
    return HardQueryFiles(queries, downloaded(dataset.qrels()), added, (dataset.id, ADDED.source))


def _local_files(folder: Path, job: Job) -> HardQueryFiles:
    topics, judged, added = (_only_file(folder, name) for name in (TOPICS, JUDGED, ADDED.name))
    sources = tuple(map(job.source, (topics, judged, added)))
    return HardQueryFiles(open_queries(topics), iterate_judgements(judged), added, sources)


def _only_file(folder: Path, name: str) -> Path:
    """Find the only file with a name in a folder or below it."""
    matches = sorted(folder.rglob(name))
    if len(matches) == 1:
        return matches[0]
    what = "none" if not matches else f"{len(matches)}: {', '.join(map(str, matches))}"
    raise DataError(
        f"{folder}: one file {name} was expected in it or below it; there is {what}.",
        hint=f"Expected {TOPICS}, {JUDGED} and {ADDED.name}, as in {ADDED.repository} on GitHub.",
    )
